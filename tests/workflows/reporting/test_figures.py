import io
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.helpers import MODELS, assert_names
from workflows.analysis.crossovers import OVERTAKES
from workflows.config.schema import Style
from workflows.reporting.__main__ import main
from workflows.reporting.figures import ablations, contrastive_gain, gains, psnr_fraction, psnr_patches, quality_cost
from workflows.reporting.figures.training_curves import chosen_fractions
from workflows.reporting.outline import FIGURES
from workflows.reporting.study import Study
from workflows.reporting.style import (
    COLORS,
    DataAxis,
    column,
    house_style,
    model_colors,
    model_markers,
    page,
    save,
    spaced,
    thousands,
)

pytestmark = pytest.mark.usefixtures("styled")

SEEDS = {"seeds": (0, 1, 2), "fractions": (0.2, 1.0), "datasets": ("Set5", "B100"), "steps": 400}


def texts(figure) -> str:
    found = [text.get_text() for ax in figure.axes for text in ax.texts]
    found += [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return "\n".join([*found, figure.get_supxlabel()])


def draw(name: str, study: Study):
    return import_module(f"workflows.reporting.figures.{name}").draw(study)


@pytest.fixture
def changed(studies):
    """A study whose tables are changed in memory: `changed("costs", lambda table: ..., seeds=(0, 1))`."""

    def make(name: str, change, **options) -> Study:
        study = studies(**options)
        study._tables[name] = change(study.table(name).copy())
        return study

    return make


@pytest.mark.parametrize("name", ["psnr_fraction", "gains", "quality_cost", "training_curves"])
def test_the_command_writes_picture_print_and_data(name, studies, tmp_path):
    files = [tmp_path / f"{name}.{kind}" for kind in ("png", "pdf", "csv")]
    arguments = ["figure", name, "--experiment-dir", str(studies(**SEEDS).folder), "--out", *map(str, files)]
    assert main(arguments) == 0
    png, pdf, csv = (path.read_bytes() for path in files)
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.width == round(page() * 300)  # two sets
        assert "Software" not in picture.info
        assert np.asarray(picture.convert("L")).std() > 10
    assert pdf.startswith(b"%PDF")
    assert b"CreationDate" not in pdf
    assert csv.count(b"\n") > 2
    again = [tmp_path / "again" / path.name for path in files]
    assert main([*arguments[:-3], *map(str, again)]) == 0
    assert [path.read_bytes() for path in again] == [png, pdf, csv]


def outlier(study: Study) -> Study:
    """One model far from the others in quality and cost, another without an interval."""
    far = {"psnr_y": 14.2, "low": 12.9, "high": 15.5}
    for name in ("quality_data", "quality_cost"):
        table = study.table(name).copy()
        table.loc[table["model"] == "rdn", list(far)] = list(far.values())
        table.loc[table["model"] == "ipt", ["low", "high"]] = np.nan
        study._tables[name] = table
    costs = study.table("quality_cost")
    costs.loc[costs["model"] == "rdn", ["parameters", "train_hours"]] = [9e8, 4e3]
    costs.loc[(costs["model"] == "edsr") & (costs["dataset"] == "B100"), ["psnr_y", "low", "high"]] = [50, 48, 52]
    study._tables["gains"] = study.table("gains").assign(
        high=lambda table: table["high"] + 30 * (table["model"] == "rdn")
    )
    gained = study.table("contrastive").copy()
    gained.loc[gained["level"] == "mean", ["low", "high"]] = [-9, 9]
    study._tables["contrastive"] = gained
    study._tables["ablations"] = study.table("ablations").assign(low=-9.0, high=9.0)
    data = study.table("quality_data")
    study._tables["quality_data"] = data.assign(distinct_patches=data["fraction"] * 3000)
    return study


def test_an_unknown_format_is_refused_before_anything_is_drawn(studies, tmp_path, capsys):
    folder = studies(**SEEDS).folder
    files = [tmp_path / name for name in ("gains.csv", "gains.xyz", "gains")]
    assert main(["figure", "gains", "--experiment-dir", str(folder), "--out", *map(str, files)]) == 2
    assert_names(capsys.readouterr().err, "error", "--out", *files[1:], ".png, .pdf, .csv")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "training_curves"])
def test_every_model_is_inside_the_axes_of_every_figure(name, studies):
    figure, _ = draw(name, outlier(studies(**SEEDS)))
    figure.draw_without_rendering()
    seen = 0
    for ax in figure.axes:
        (left, right), (bottom, top) = sorted(ax.get_xlim()), sorted(ax.get_ylim())
        points = [line.get_xydata() for line in ax.lines if line.get_transform() == ax.transData]
        points += [
            np.vstack(c.get_segments()) for c in ax.collections if hasattr(c, "get_segments") and c.get_segments()
        ]
        points += [[[bar.get_x() + bar.get_width(), bar.get_y()]] for bar in ax.patches]
        for x, y in np.vstack([np.asarray(p, dtype="float64") for p in points if len(p)]):
            if np.isfinite([x, y]).all():
                assert left <= x <= right
                assert bottom <= y <= top
                seen += 1
    assert seen > 8


def test_learning_curves_end_inside_their_axes_and_models_share_a_scale(studies):
    figure, data = draw("training_curves", studies(**SEEDS))
    assert set(data["fraction"]) == {0.2, 1.0}
    for ax in figure.axes:
        bottom, top = ax.get_ylim()
        ends = [line.get_ydata()[-1] for line in ax.lines if line.get_alpha() is None]
        assert ends
        assert all(bottom < end < top for end in ends)
    assert len({ax.get_ylim() for ax in figure.axes}) == 2


def test_of_many_fractions_three_have_a_learning_curve():
    assert chosen_fractions(pd.Series([0.01, 0.05, 0.2, 0.6, 1.0])) == [0.01, 0.2, 1.0]
    assert chosen_fractions(pd.Series([1.0])) == [1.0]


def test_several_sets_stand_in_one_row_with_a_decibel_as_long_in_each(studies):
    for name in ("psnr_fraction", "quality_cost"):
        figure, _ = draw(name, studies(**SEEDS))
        assert figure.get_figwidth() == page()
        spans = [np.ptp(ax.get_ylim()) for ax in figure.axes]
        assert spans == pytest.approx([spans[0]] * len(spans))
    rows = {ax.get_subplotspec().rowspan.start for ax in draw("gains", studies(**SEEDS))[0].axes}
    assert rows == {0}


def test_one_set_fills_a_column(studies):
    figure, _ = draw("psnr_fraction", studies(fractions=(0.2, 1.0)))
    assert figure.get_figwidth() == column()


def test_style_chooses_font_width_and_titles(studies):
    study = studies(fractions=(0.2, 1.0))
    with house_style(Style(font="serif", width=3.0, titles=False)):
        figure, _ = draw("psnr_fraction", study)
        assert figure.get_figwidth() == 3.0
        assert figure.axes[0].get_title(loc="left") == ""
        assert figure.get_supxlabel() == ""
        assert figure.axes[0].xaxis.label.get_fontname() == "STIXGeneral"
    with house_style():
        figure, _ = draw("psnr_fraction", study)
        assert figure.axes[0].get_title(loc="left") == "photos, sr2"
        assert figure.get_supxlabel()


def test_a_model_has_one_colour_and_marker_whatever_else_is_shown(studies):
    runs = studies(**SEEDS).runs
    colors, markers = model_colors(runs), model_markers(runs)
    assert len({colors[m] for m in ("ipt", "ipt-contrastive", "edsr", "rdn")}) == 4
    assert len(set(markers.values())) == 4
    assert model_colors(runs[runs["fraction"] != 0.2]) == colors
    assert len(COLORS) == 8


def test_bands_are_over_seeds_where_there_are_several(studies):
    figure, data = psnr_fraction.draw(studies(**SEEDS))
    assert_names(texts(figure), "95 %", "3 seeds")
    assert set(data.loc[data["fraction"].notna(), "over"]) == {"seeds"}


def test_with_one_seed_the_figure_says_what_bands_are_over(studies):
    figure, data = psnr_fraction.draw(studies(fractions=(0.2, 1.0)))
    assert_names(texts(figure), "images")
    assert set(data.loc[data["fraction"].notna(), "over"]) == {"images"}


def test_missing_points_are_counted_and_bicubic_is_dashed(studies):
    figure, _ = psnr_fraction.draw(studies(fractions=(0.2, 0.6, 1.0), lost=["rdn-60-seed-0"]))
    assert_names(texts(figure), "Missing: 1 of 12 runs")
    dashed = [line for line in figure.axes[0].lines if line.is_dashed()]
    assert len(dashed) == 1


def test_crossovers_are_marked_where_seeds_give_an_interval(changed):
    def crossing(table: pd.DataFrame) -> pd.DataFrame:
        found = {"status": OVERTAKES, "fraction": 0.6, "low": 0.4, "high": 0.8, "best_rival": True, "tested": True}
        return table.assign(**found)[(table["model"] == "ipt") & (table["other"] == "edsr")]

    figure, data = psnr_fraction.draw(changed("crossovers", crossing, **SEEDS))
    assert_names(texts(figure), OVERTAKES, "EDSR")
    assert data.loc[data["model"] == "ipt", "at"].unique().tolist() == [0.6]
    untested = changed("crossovers", lambda table: crossing(table).assign(tested=False), **SEEDS)
    assert OVERTAKES not in texts(psnr_fraction.draw(untested)[0])


def test_quality_is_plotted_against_multiply_adds_if_they_are_known(changed):
    one = {**SEEDS, "datasets": ("Set5",)}
    study = changed("quality_cost", lambda table: table.assign(macs_per_output_pixel=np.nan), **one)
    assert [ax.get_xlabel() for ax in quality_cost.draw(study)[0].axes] == ["parameters", "training hours per run"]
    study = changed("quality_cost", lambda t: t.assign(macs_per_output_pixel=t["parameters"] * 0.9), **one)
    names = [ax.get_xlabel() for ax in quality_cost.draw(study)[0].axes]
    assert names == ["parameters", "multiply-adds per output pixel"]


def test_gains_show_both_ways_of_cutting_windows_side_by_side(changed):
    def both(table: pd.DataFrame) -> pd.DataFrame:
        lower = {column: table[column] - 0.1 for column in ("gain", "low", "high")}
        averaged = table[table["model"].str.startswith("ipt")].assign(windows="averaged", **lower)
        return pd.concat([table, averaged], ignore_index=True)

    figure, data = gains.draw(changed("gains", both, **SEEDS))
    assert set(data["windows"]) == {"centre", "averaged"}
    assert "averaged windows" in texts(figure)
    assert data["rival"].notna().any()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[:4] == ["IPT", "IPT + contrastive", "EDSR", "RDN"]
    assert "IPT − EDSR" in labels


def test_a_model_without_the_smallest_fraction_has_the_gain_of_the_fractions_it_has(studies):
    study = studies(**SEEDS)
    for name in ("gains", "gain_differences"):
        table = study.table(name)
        of_rdn = (table["model"] == "rdn") | (table["rival"] == "rdn" if "rival" in table else False)
        study._tables[name] = table.assign(span=table["span"].where(~of_rdn, "0.6-1"))
    figure, data = gains.draw(study)
    labels = " ".join(" ".join(label.get_text().split()) for label in figure.axes[0].get_yticklabels())
    assert_names(labels, "EDSR, 20 % to 100 %", "RDN, 60 % to 100 %", "IPT − RDN, 60 % to 100 %")
    assert len(data) == 2 * (4 + 4)


def test_the_widest_span_of_tiny_fractions_is_shown(studies):
    study = studies(**SEEDS)
    table = study.table("gains").query("measure == 'psnr_y'")
    tiny = table.assign(span="1e-05-1")
    study._tables["gains"] = pd.concat([tiny, tiny.assign(span="0.0001-1", gain=9.0)], ignore_index=True)
    own = gains.points(study)
    own = own[own["rival"].isna()]
    assert sorted(own["gain"]) == sorted(table["gain"])
    assert set(own["span"]) == {"1e-05-1"}


def test_a_gain_with_one_seed_at_a_fraction_has_no_bar_and_that_is_said(changed):
    def single(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(**{end: table[end].where(table["model"] != "rdn") for end in ("low", "high")})

    assert "one seed" in texts(gains.draw(changed("gains", single, **SEEDS))[0])
    own = {**SEEDS, "models": {"edsr": MODELS["edsr"]}}
    assert "difference" not in texts(gains.draw(changed("gains", single, **own))[0])


def test_patches_are_the_axis_where_each_image_gives_the_same_ones(changed):
    def fixed(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(distinct_patches=table["fraction"] * 3744)

    figure, data = psnr_patches.draw(changed("quality_data", fixed, **SEEDS))
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["749", "3744"]
    assert sorted(set(data["distinct_patches"].dropna())) == pytest.approx([748.8, 3744])
    assert figure.axes[0].get_xlabel() == "distinct training patches"


def test_each_panel_of_contrastive_gains_has_the_same_scale_and_the_last_shows_the_gradient(studies):
    figure, data = contrastive_gain.draw(studies(**SEEDS))
    *sets, last = figure.axes
    assert len({ax.get_ylim() for ax in sets}) == 1
    assert data.loc[data["level"] == "ratio", "ratio"].max() * 100 < last.get_ylim()[1]
    assert "IPT + contrastive − IPT" in texts(figure)


def test_the_gradient_is_shown_where_only_the_contrastive_model_is_scored(studies):
    figure, data = contrastive_gain.draw(studies(fractions=(0.2, 1.0), lost=["ipt-20-seed-0"]))
    assert set(data.loc[data["level"] == "ratio", "fraction"]) == {0.2, 1.0}
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["20", "100"]


def test_effects_are_bars_from_zero_in_the_models_colours(studies):
    study = studies(**SEEDS)
    figure, data = ablations.draw(study)
    shown = data[data["dataset"] == "Set5"]
    bars = figure.axes[0].patches
    assert [bar.get_width() for bar in bars] == pytest.approx(shown["effect"].to_list())
    assert bars[1].get_facecolor()[:3] == pytest.approx(model_colors(study.runs)["ipt-contrastive"])


LONG = {
    "ipt": "IPT with λ = 0.1 & τ = 0.07 of an earlier_version $x$ (μ ± σ)",
    "ipt-contrastive": "ipt_with_an_underscored_name_of_fifty_characters_$_&",
    "edsr": "_EDSR with IPT's number of parameters, fine-tuned",
    "rdn": "RDN, $10 & $20",
}


@pytest.mark.parametrize("datasets", [("Set5",), ("Set5", "Set14", "B100", "Urban100")], ids=["one", "many"])
@pytest.mark.parametrize("name", [name for name in FIGURES if name != "psnr_patches"])
def test_long_names_are_neither_cut_nor_run_into_each_other(name, datasets, studies, tmp_path):
    study = studies(**{**SEEDS, "datasets": datasets})
    study.labels = study.labels | LONG
    figure, data = draw(name, study)
    save(figure, data, [tmp_path / "long.png", tmp_path / "long.pdf"])
    figure.draw_without_rendering()
    assert figure._supxlabel, "a figure ends with `style.note`"
    titles = [ax.title if ax.get_title() else ax._left_title for ax in figure.axes]
    labels = [label for ax in figure.axes for label in (ax.xaxis.label, ax.yaxis.label, *ax.get_yticklabels())]
    boxes = [text.get_window_extent() for text in (*titles, *labels, figure._supxlabel) if text.get_text()]
    boxes += [text.get_window_extent() for legend in figure.legends for text in legend.get_texts()]
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y1 <= figure.bbox.y1 + 1
    named = [text.get_window_extent() for text in titles if text.get_text()]
    assert not any(one.overlaps(other) for number, one in enumerate(named) for other in named[:number])
    for ax in figure.axes:
        rows = [label.get_window_extent() for label in ax.get_yticklabels() if label.get_text()]
        assert not any(one.overlaps(other) for number, one in enumerate(rows) for other in rows[:number])
        assert ax.get_window_extent().height > figure.dpi / 4


def test_models_with_one_value_have_a_bar_each_with_their_labels(changed):
    def repeated(table: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([table, table.assign(model=table["model"].replace("ipt-contrastive", "edsr"))])

    figure, _ = ablations.draw(changed("ablations", repeated, **SEEDS))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["0", "0.1 (IPT + contrastive)", "0.1 (EDSR)"]
    assert len({bar.get_y() for bar in figure.axes[0].patches}) == 3


def test_costs_that_are_not_recorded_for_a_set_have_no_panel_and_that_is_said(changed):
    def recorded(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(macs_per_output_pixel=(100 * table["parameters"]).where(table["dataset"] == "Set5"))

    figure, _ = quality_cost.draw(changed("quality_cost", recorded, **SEEDS))
    assert len(figure.axes) == 3
    assert_names(texts(figure), "multiply-adds", "equal cost")


def test_sets_continue_in_another_row_of_the_figure_of_costs(changed):
    def many(table: pd.DataFrame) -> pd.DataFrame:
        return pd.concat(table.assign(dataset=str(number)) for number in range(5))

    figure, _ = quality_cost.draw(changed("quality_cost", many, **SEEDS))
    assert figure.axes[0].get_gridspec().ncols == 3
    assert len(figure.axes) == 10


def test_a_short_training_is_inside_the_axes_of_a_long_one(changed):
    def longer(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(
            step=table["step"] * (1 + 9 * (table["model"] == "rdn")), l1=table["l1"] + (table["model"] != "rdn")
        )

    figure, data = draw("training_curves", changed("learning_curves", longer, **SEEDS))
    last = data[data["model"] == "ipt"].iloc[-1]
    low, high = figure.axes[0].get_ylim()
    assert low < last["l1"] < high


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_scored_is_said_and_not_an_error(name, studies):
    study = studies(fractions=(1.0,), lost=[f"{m}-100-seed-0" for m in ("ipt", "ipt-contrastive", "edsr", "rdn")])
    for table in ("learning_curves", "quality_data"):
        study._tables[table] = study.table(table).iloc[:0]
    assert "No " in texts(draw(name, study)[0])


def test_an_axis_of_fractions_names_its_ends():
    assert spaced([0, 1, 2, 3], 0.5) == [True] * 4
    assert spaced([0, 0.1, 2, 2.9, 3], 0.5) == [True, False, True, False, True]
    assert DataAxis([0, 0.01, 1]).places([0, 0.01]).tolist() == [0.005, 0.01]
    assert not DataAxis([0.2, 1]).log


def test_counts_are_short():
    assert [thousands(n) for n in (1281167, 12800, 1281, 300, 0.021)] == ["1.28M", "12.8k", "1281", "300", "0.021"]
