"""Two experiments compared."""

import pandas as pd
import pytest

from tests.helpers import assert_names, gather
from workflows.analysis.records import read_results
from workflows.audit.__main__ import main
from workflows.audit.compare_experiments import agreement, changed_settings, differences, to_markdown

MODELS = {"ipt": ("ipt_tiny", 0.0, 0.8, 0.1), "edsr": ("edsr_tiny", 0.0, 0.9, 0.1)}


def test_two_experiments_are_paired_by_seed_and_image(experiment, tmp_path, capsys):
    folders = []
    for name, gain in (("a", 0.8), ("b", 0.9)):
        models = {"ipt": ("ipt_tiny", 0.0, gain, 0.1), "edsr": ("edsr_tiny", 0.0, 0.9, 0.1)}
        folder, names = experiment(name=name, seeds=(0, 1, 2), fractions=(0.5, 1.0), models=models)
        gather(folder, [n for n in names if (name, n) != ("b", "edsr-50-seed-2")])
        folders.append(folder)
    found = differences(*folders).set_index(["model", "fraction"])
    a, b = (
        read_results(folder / "results.csv").set_index(["model", "fraction", "seed", "image"])["psnr_y"]
        for folder in folders
    )
    row = found.loc[("ipt", 1.0)]
    assert row["difference"] == pytest.approx((b - a)["ipt"][1.0].mean())
    assert row["low"] < row["difference"] < row["high"]
    assert row["seeds"] == 3
    same = found.loc[("edsr", 0.5)]
    assert (same["difference"], same["largest"], same["seeds"], same["only_first"]) == (0, 0, 2, 6)
    assert main(["compare-experiments", *map(str, folders), "--out", str(tmp_path / "out.csv")]) == 0
    assert_names(capsys.readouterr().out, "b", "a", "ipt", "edsr")
    assert len(pd.read_csv(tmp_path / "out.csv")) == 5


def test_names_break_no_table(experiment):
    folder, names = experiment(fractions=(1.0,), models=MODELS)
    gather(folder, names)
    compared = differences(folder, folder).assign(dataset="a|b", model="*ipt*")
    lines = [line for line in to_markdown(compared, folder, folder).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(compared)
    assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1
    assert all(r"\*ipt\*" in line for line in lines[2:])


@pytest.mark.parametrize("limit", ["nan", "inf", "-1", "x"])
def test_a_limit_is_a_number_of_decibels(limit, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["compare-experiments", "a", "b", f"--within={limit}"])
    assert ended.value.code == 2
    assert_names(capsys.readouterr().err, "error", "--within", f"'{limit}'")


def test_other_protocols_and_settings_are_said(experiment):
    folders = []
    for name in ("a", "b"):
        folder, names = experiment(name=name, fractions=(1.0,), models=MODELS)
        for run in names:
            for path in (folder / "runs" / run).glob("*"):
                if name == "b" and path.suffix in {".csv", ".json"}:
                    path.write_text(path.read_text().replace(",v1,", ",v1 gray=matlab,").replace("0.0005", "0.001"))
        gather(folder, names)
        folders.append(folder)
    assert set(differences(*folders)["protocols"]) == {"v1 and v1 gray=matlab"}
    (changed,) = (line for line in changed_settings(*folders) if line.startswith("ipt: "))
    assert_names(changed, "training.learning_rate", 0.0005, 0.001)


def test_agreement_is_of_each_networks_mean_over_a_set(experiment, capsys):
    folders = []
    for name in ("a", "b"):
        folder, names = experiment(name=name, fractions=(1.0,), models=MODELS)
        gather(folder, names)
        folders.append(folder)
    call = ["compare-experiments", *map(str, folders), "--within"]
    assert main(call) == 0
    assert_names(capsys.readouterr().out, 18)
    table = pd.read_csv(folders[1] / "results.csv")
    network = (table["model"] == "ipt") & (table["fraction"] == 1)
    assert network.sum() == 6
    first = table.index == network.idxmax()
    # One image of six may differ by six times as much as the mean.
    for where, change, limit, status, mean in (
        (first, 1.2, [], 0, 0.2),
        (first, 2.4, [], 1, 0.4),
        (network, 0.02, ["0.01"], 1, 0.02),
        (network, 0.008, ["0.01"], 0, 0.008),
    ):
        table.assign(psnr_y=table["psnr_y"] + change * where).to_csv(folders[1] / "results.csv", index=False)
        assert main([*call, *limit]) == status
        assert_names(capsys.readouterr().out, f"{mean:g} dB", "ipt", "100 %", "seed 0")
    table.iloc[1:].to_csv(folders[1] / "results.csv", index=False)
    assert main(call) == 1
    assert_names(capsys.readouterr().out, "1 scores")
    assert main(["compare-experiments", str(folders[1]), str(folders[0]), "--within"]) == 0, (
        "further scores do not matter"
    )


def test_exactly_restored_images_agree_with_each_other_alone(experiment):
    folders = []
    for name in ("a", "b"):
        folder, names = experiment(name=name, fractions=(1.0,), models=MODELS)
        gather(folder, names)
        folders.append(folder)
    for count, agrees in ((2, True), (1, False)):
        for folder in folders[:count]:
            table = pd.read_csv(folder / "results.csv")
            table.loc[0, "psnr_y"] = float("inf")
            table.loc[1, "psnr_y"] += 1e-4 * (folder == folders[1])
            table.to_csv(folder / "results.csv", index=False)
        found = differences(*folders)
        assert (found["difference"].abs() < 0.01).all() == agrees
        assert agreement(*folders, 0.3)[0] == agrees
        gather(folders[1], names)
