import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.helpers import gather, write_experiment
from workflows.analysis.statistics import t_interval
from workflows.reporting.__main__ import FIGURES, main
from workflows.reporting.figures import ablations, contrastive_gain, psnr_fraction, quality_cost, training_curves
from workflows.reporting.style import COLUMN, FractionAxis, house_style, model_colors, model_markers


def lines(ax) -> dict[str, list]:
    return {line.get_label(): line for line in ax.get_lines()}


def texts(figure) -> str:
    found = [text.get_text() for ax in figure.axes for text in ax.texts]
    found += [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return "\n".join([*found, figure.get_supxlabel()])


@pytest.fixture(autouse=True)
def _style():
    with house_style():
        yield


def drawn(folder, name, out) -> dict[str, bytes]:
    """What the command writes for one figure, by kind of file."""
    arguments = [
        "figure",
        name,
        "--results",
        str(folder / "results.csv"),
        "--runs",
        str(folder / "runs.csv"),
        "--train-logs",
    ]
    logs = [str(path) for path in sorted(folder.glob("runs/*/train.csv"))]
    files = [out / f"{name}.{kind}" for kind in ("png", "pdf", "csv")]
    assert main([*arguments, *logs, "--out", *map(str, files)]) == 0
    assert sorted(out.iterdir()) == sorted(files)
    return {path.suffix: path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures") / "small"
    gather(folder, write_experiment(folder, fractions=(0.2, 1.0), steps=400))
    return folder


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_one_column_wide_and_comes_with_its_data(name, small, tmp_path):
    files = drawn(small, name, tmp_path / "out")
    with Image.open(io.BytesIO(files[".png"])) as picture:
        assert picture.width == COLUMN * 300
        assert "Software" not in picture.info
        assert np.asarray(picture.convert("L")).std() > 10
    assert files[".pdf"].startswith(b"%PDF")
    assert b"CreationDate" not in files[".pdf"]
    assert files[".csv"].count(b"\n") > 2


def test_equal_inputs_give_equal_bytes(small, tmp_path):
    assert drawn(small, "psnr_fraction", tmp_path / "a") == drawn(small, "psnr_fraction", tmp_path / "b")


def test_a_model_has_one_colour_and_marker_whatever_else_is_shown(gathered):
    _, runs = gathered(fractions=(0.2, 1.0))
    colors, markers = model_colors(runs), model_markers(runs)
    assert len({colors[m] for m in ("ipt", "ipt-contrastive", "edsr", "rdn")}) == 4
    assert len(set(markers.values())) == 4
    assert model_colors(runs[runs["fraction"] != 0.2]) == colors


def test_bands_are_over_seeds_where_there_are_several(gathered):
    results, runs = gathered(seeds=(0, 1, 2), fractions=(0.2, 1.0))
    figure, data = psnr_fraction.draw(results, runs)
    assert "Bars and bands: 95 % t intervals over 3 seeds." in texts(figure)
    point = data.query("model == 'edsr' and fraction == 0.2").iloc[0]
    here = results[(results["model"] == "edsr") & (results["fraction"] == 0.2)]
    expected = t_interval(here.groupby("seed")["psnr_y"].mean())
    assert (point["low"], point["high"]) == pytest.approx((expected.low, expected.high))
    assert point["band"] == "seeds"


def test_with_one_seed_bands_are_over_images_and_the_figure_says_so(gathered):
    results, runs = gathered(fractions=(0.2, 1.0))
    figure, data = psnr_fraction.draw(results, runs)
    assert "One seed." in texts(figure)
    assert "over the 6 images" in texts(figure)
    assert set(data.loc[data["fraction"].notna(), "band"]) == {"images"}


def test_a_point_with_one_seed_among_others_is_hollow_and_has_no_band(gathered):
    lost = ["ipt-20-seed-1", "ipt-20-seed-2"]
    results, runs = gathered(seeds=(0, 1, 2), fractions=(0.2, 1.0), lost=lost)
    figure, data = psnr_fraction.draw(results, runs)
    assert "Hollow points: one seed, no interval." in texts(figure)
    assert data.query("model == 'ipt' and fraction == 0.2")["low"].isna().all()


def test_bicubic_is_a_dashed_line_and_missing_points_are_counted(gathered):
    results, runs = gathered(fractions=(0.2, 0.6, 1.0), lost=["rdn-60-seed-0"])
    figure, data = psnr_fraction.draw(results, runs)
    assert "Missing: 1 of the planned points." in texts(figure)
    level = results.loc[results["model"] == "bicubic", "psnr_y"].mean()
    dashed = [line for line in figure.axes[0].get_lines() if line.is_dashed()]
    assert [line.get_ydata()[0] for line in dashed] == pytest.approx([level])
    drawn = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 2 and not line.is_dashed()]
    assert any(line.get_xdata() == pytest.approx([0.2, 1.0], abs=0.02) for line in drawn)
    assert data.query("model == 'rdn' and fraction == 0.6")["psnr_y"].isna().all()


def test_fractions_over_more_than_a_decade_stand_on_a_logarithmic_axis(gathered):
    wide, runs = gathered(fractions=(0.01, 0.1, 1.0))
    assert psnr_fraction.draw(wide, runs)[0].axes[0].get_xscale() == "log"


def test_no_data_at_all_stands_before_the_smallest_fraction_and_names_do_not_run_into_one_another():
    axis = FractionAxis([0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert axis.log
    assert 0 < axis.places([0.0])[0] < 0.01
    assert FractionAxis([0, 0.5, 1]).places([0.0]).tolist() == [0]
    ax = plt.figure().add_subplot()
    axis.draw(ax, pd.DataFrame({"fraction": []}))
    assert [label.get_text() for label in ax.get_xticklabels()][-4:] == ["40", "60", "", "100"]


def test_every_set_and_task_has_its_panel(gathered):
    results, runs = gathered(fractions=(0.2, 1.0), tasks=("sr2", "dn30"), datasets=("Set5", "B100"))
    figure, _ = psnr_fraction.draw(results, runs)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["Set5, sr2", "B100, sr2", "Set5, dn30", "B100, dn30"]


def test_a_crossing_is_marked_with_its_interval_where_seeds_give_one(gathered):
    models = {
        "ipt": ("ipt_tiny", 0.0, 1.0, 0.5),
        "edsr": ("edsr_tiny", 0.0, 0.8, 0.1),
        "rdn": ("rdn_tiny", 0.0, 0.2, 0.1),
    }
    figure, data = psnr_fraction.draw(*gathered(name="three", seeds=(0, 1, 2), models=models, noise=0.01))
    assert "overtakes EDSR" in texts(figure)
    row = data[data["model"] == "ipt"].iloc[0]
    assert row["at_low"] < row["at"] < row["at_high"]
    figure, data = psnr_fraction.draw(*gathered(name="one", models=models, noise=0.01))
    assert "overtakes" not in texts(figure)
    assert data["at"].isna().all()


def test_the_gradients_share_stands_beside_the_gain(gathered):
    results, runs = gathered(fractions=(0.2, 1.0))
    figure, data = contrastive_gain.draw(results, runs)
    shares = data[data["level"] == "share"]
    assert len(shares) == 2
    assert shares["share"].iloc[0] == pytest.approx(runs["contrastive_share"].dropna().iloc[0])
    assert len(figure.axes) == 2


def test_effects_are_bars_from_zero_in_the_models_colours(gathered):
    results, runs = gathered(fractions=(1.0,))
    figure, data = ablations.draw(results, runs)
    (ax,) = figure.axes
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == pytest.approx(data["effect"].to_list())
    assert [bar.get_x() for bar in ax.patches] == [0, 0]
    assert ax.patches[1].get_facecolor()[:3] == pytest.approx(model_colors(runs)["ipt-contrastive"])
    assert "One seed" in texts(figure)


def test_quality_stands_against_multiply_adds_where_they_are_known(gathered):
    results, runs = gathered(fractions=(0.2, 1.0))
    figure, data = quality_cost.draw(results, runs)
    assert [ax.get_xlabel() for ax in figure.axes] == ["parameters", "training hours a run"]
    assert set(data["fraction"]) == {1.0}
    runs["macs_per_output_pixel_sr2"] = runs["parameters"] * 0.9
    figure, _ = quality_cost.draw(results, runs)
    assert [ax.get_xlabel() for ax in figure.axes] == ["parameters", "multiply-adds\nan output pixel"]


def test_the_gain_is_the_twin_with_minus_the_twin_without(gathered):
    results, runs = gathered(fractions=(0.2, 1.0))
    results.loc[results["model"] == "ipt-contrastive", "psnr_y"] = (
        results.loc[results["model"] == "ipt", "psnr_y"].to_numpy() + 0.25
    )
    figure, data = contrastive_gain.draw(results, runs)
    assert data.loc[data["level"] == "mean", "gain"].to_list() == pytest.approx([0.25, 0.25])
    assert "IPT + contrastive − IPT" in texts(figure)
    assert "One seed" in texts(figure)


def test_without_twins_the_figure_says_so(gathered):
    results, runs = gathered(fractions=(1.0,))
    figure, data = contrastive_gain.draw(results[results["model"] != "ipt"], runs)
    assert "both with and without" in texts(figure)
    assert data.empty


def test_curves_average_the_seeds_that_reached_a_step(gathered, tmp_path):
    results, runs = gathered(seeds=(0, 1), fractions=(1.0,), steps=500)
    logs = sorted((tmp_path / "small").glob("runs/edsr-100-seed-*/train.csv"))
    pd.read_csv(logs[1]).head(20).to_csv(logs[1], index=False)
    figure, data = training_curves.draw(results, runs, logs)
    assert set(data["model"]) == {"edsr"}
    assert data["seeds"].iloc[0] == 2
    assert data["seeds"].iloc[-1] == 1
    assert data["l1"].iloc[0] == pytest.approx(np.mean([pd.read_csv(log)["l1"].iloc[0] for log in logs]))
    assert len(figure.axes) == 2


def test_nothing_scored_is_said_and_not_an_error(gathered):
    results, runs = gathered(fractions=(1.0,))
    for module in (psnr_fraction, contrastive_gain, training_curves, ablations, quality_cost):
        figure, _ = module.draw(results.iloc[:0], runs, [])
        assert "No " in texts(figure)
