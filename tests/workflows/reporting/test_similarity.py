import numpy as np
import pytest

from workflows.analysis.patch_similarity import similarities
from workflows.files import write_csv
from workflows.reporting.__main__ import main
from workflows.reporting.similarity import draw
from workflows.reporting.study import Study
from workflows.reporting.style import house_style

RUNS = ["ipt-100-seed-0", "ipt-contrastive-100-seed-0"]


@pytest.fixture
def featured(experiment, gathered, tmp_path):
    gathered(fractions=(0.2, 1.0))
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (24, 24, 3), dtype="uint8")
    folder = tmp_path / "small"
    files = {run: folder / "runs" / run / "features" / "sr2" / "photos" / "chelsea.npz" for run in RUNS}
    for path in files.values():
        path.parent.mkdir(parents=True)
        np.savez(path, image=image, features=rng.normal(size=(8, 8, 12)).astype("float32"))
    write_csv(similarities(files), folder / "tables" / "similarity-sr2-photos-chelsea.csv")
    return folder


def arguments(folder, out):
    scope = ["--task", "sr2", "--dataset", "photos", "--image", "chelsea"]
    runs = ["--runs", *RUNS]
    return ["similarity", "--experiment-dir", str(folder), *scope, *runs, "--out", *map(str, out)]


def test_every_run_has_a_row_of_maps_and_the_image_can_be_left_out(featured, tmp_path):
    out = [tmp_path / "similarity.png", tmp_path / "similarity.csv"]
    assert main(arguments(featured, out)) == 0
    lines = out[1].read_text().splitlines()
    assert len(lines) == 1 + 2 * 3 * 64
    assert {line.split(",")[0] for line in lines[1:]} == set(RUNS)
    assert out[0].stat().st_size > 5000
    study = Study(featured)
    for with_whole, across in ((True, 4), (False, 3)):
        with house_style():
            figure, _ = draw(study, "sr2", "photos", "chelsea", RUNS, with_whole)
            panels = [ax for ax in figure.axes if ax.images]
            assert len(panels) == 2 * across


def test_a_run_without_similarities_is_named(featured, tmp_path, capsys):
    table = featured / "tables" / "similarity-sr2-photos-chelsea.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(line for line in lines if not line.startswith(RUNS[1])) + "\n")
    assert main(arguments(featured, [tmp_path / "x.png"])) == 2
    assert f"lacks {RUNS[1]}" in capsys.readouterr().err
    table.unlink()
    assert main(arguments(featured, [tmp_path / "x.png"])) == 2
    assert "is missing; the analysis writes it" in capsys.readouterr().err
