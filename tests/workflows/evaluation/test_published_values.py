"""The proof on bicubic: whole sets give the figures that the literature prints, before any network is trusted."""

import pytest

from workflows.evaluation.protocol import Protocol
from workflows.evaluation.restorer import Restorer
from workflows.evaluation.score import score
from workflows.evaluation.sets import find_jobs

SCALES = ("sr2", "sr3", "sr4")
EXPECTED = {
    "Set5": (33.673, 30.403, 28.429),
    "Set14": (30.325, 27.631, 26.088),
    "B100": (29.560, 27.208, 25.961),
}
EXPECTED_MATLAB = EXPECTED | {"Set14": (30.230, 27.537, 25.994)}  # Set14 has one gray file
EXPECTED_FLOAT = {"Set5": (33.682, 30.405, 28.431), "B100": (29.565, 27.210, 25.963)}
# As papers print them (EDSR, IPT): computed by MATLAB from LR images that MATLAB made
PUBLISHED = {"Set5": (33.66, 30.39, 28.42), "Set14": (30.24, 27.55, 26.00), "B100": (29.56, 27.21, 25.96)}


def means(shared_data, names, protocol, tasks=SCALES):
    jobs = find_jobs(names, tasks, shared_data)
    result = score(Restorer("bicubic", protocol), jobs, protocol, threads=2, progress=False)
    assert result.failures == []
    table = {}
    for job in jobs:
        rows = [r for r in result.rows if (r["dataset"], r["task"]) == (job.request.label, job.task.name)]
        table.setdefault(job.request.label, []).append(sum(r["psnr_y"] for r in rows) / len(rows))
    return table


def test_set5_gives_the_known_figures(shared_data):
    assert means(shared_data, ["Set5"], Protocol())["Set5"] == pytest.approx(EXPECTED["Set5"], abs=0.002)
    assert means(shared_data, ["Set5"], Protocol(bicubic="float"))["Set5"] == pytest.approx(
        EXPECTED_FLOAT["Set5"], abs=0.002
    )


def test_set14_gives_the_known_figures_in_both_gray_conventions(shared_data):
    for protocol, expected in ((Protocol(), EXPECTED), (Protocol(gray="matlab"), EXPECTED_MATLAB)):
        assert means(shared_data, ["Set14"], protocol, ("sr2",))["Set14"] == pytest.approx(
            expected["Set14"][:1], abs=0.002
        )


@pytest.mark.slow
def test_all_sets_and_scales_give_the_known_figures(shared_data):
    for protocol, expected in (
        (Protocol(), EXPECTED),
        (Protocol(gray="matlab"), EXPECTED_MATLAB),
        (Protocol(bicubic="float"), EXPECTED_FLOAT),
    ):
        found = means(shared_data, list(expected), protocol)
        for name, values in expected.items():
            assert found[name] == pytest.approx(values, abs=0.002), (name, protocol)


@pytest.mark.slow
def test_the_matlab_convention_is_the_published_one(shared_data):
    found = means(shared_data, list(PUBLISHED), Protocol(gray="matlab"))
    for name, values in PUBLISHED.items():
        assert found[name] == pytest.approx(values, abs=0.0145), name


def test_rain100l_has_the_known_rainy_inputs(shared_data):
    jobs = find_jobs(["Rain100L@20"], ["dr"], shared_data)
    result = score(Restorer("identity"), jobs, Protocol(), threads=2, progress=False)
    assert len(result.rows) == 20
    assert sum(r["psnr_y"] for r in result.rows) / 20 == pytest.approx(26.176, abs=0.002)
