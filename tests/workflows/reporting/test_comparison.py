import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.helpers import MODELS, gather, raises_naming, write_experiment, write_images
from workflows.analysis.records import ReportError
from workflows.reporting.__main__ import main
from workflows.reporting.comparison import arrange, draw
from workflows.reporting.image_panels import Tile, load, pick_crop
from workflows.reporting.study import Study
from workflows.reporting.style import house_style, save


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shown") / "small"
    gather(folder, write_experiment(folder, fractions=(0.2, 1.0), seeds=(3, 4)))
    write_images(folder, [*(f"{model}-100-seed-3" for model in MODELS), "bicubic"], "chelsea")
    return folder


@pytest.fixture
def shown(written, tmp_path):
    folder = tmp_path / "small"
    shutil.copytree(written, folder)
    return folder, Study(folder)


def test_tiles_run_from_input_to_original_with_each_images_own_score(shown):
    _, study = shown
    results = study.results
    tiles, fraction, seed = load(study, "sr2", "photos", "chelsea")
    assert [tile.name for tile in tiles] == [
        "LR input",
        "bicubic",
        "IPT",
        "IPT + contrastive",
        "EDSR",
        "RDN",
        "HR original",
    ]
    assert (fraction, seed) == (1.0, 3)
    of = (
        (results["model"] == "edsr")
        & (results["fraction"] == 1.0)
        & (results["seed"] == 3)
        & (results["image"] == "chelsea")
    )
    assert tiles[4].psnr == results.loc[of, "psnr_y"].item()
    assert tiles[4].ssim == results.loc[of, "ssim_y"].item()
    assert tiles[4].score == f"{tiles[4].psnr:.2f} dB / {tiles[4].ssim:.4f}"
    assert tiles[0].psnr is None
    assert tiles[-1].psnr is None
    # The input is enlarged without interpolation.
    assert (tiles[0].pixels[0::2, 0::2] == tiles[0].pixels[1::2, 1::2]).all()


def test_the_picture_shows_the_crop_asked_for(shown, tmp_path):
    folder, _ = shown
    out = [tmp_path / "comparison.png", tmp_path / "comparison.pdf", tmp_path / "comparison.csv"]
    arguments = [
        "comparison",
        "--experiment-dir",
        str(folder),
        "--dataset",
        "photos",
        "--image",
        "chelsea",
        "--task",
        "sr2",
    ]
    assert main([*arguments, "--crop", "100", "50", "120", "80", "--out", *map(str, out)]) == 0
    table = pd.read_csv(out[2])
    assert table.loc[0, ["x", "y", "width", "height"]].to_list() == [100, 50, 120, 80]
    with Image.open(out[0]) as picture:
        assert np.asarray(picture.convert("L")).std() > 20
        height = picture.height
    # Without the whole image the figure holds nothing of it but the crops.
    assert main([*arguments, "--crop", "100", "50", "120", "80", "--crops-only", "--out", str(out[0])]) == 0
    with Image.open(out[0]) as picture:
        assert picture.height < 0.7 * height


@pytest.mark.filterwarnings("error")
def test_it_is_written_in_both_formats_without_a_warning(shown, tmp_path):
    with house_style():
        save(*draw(shown[1], "sr2", "photos", "chelsea"), [tmp_path / "a.png", tmp_path / "a.pdf"])


def test_a_missing_model_is_shown_as_missing(shown):
    folder, study = shown
    (folder / "runs/rdn-100-seed-3/images/sr2/photos/chelsea.png").unlink()
    with house_style():
        figure, table = draw(study, "sr2", "photos", "chelsea")
    assert not table.set_index("model").loc["rdn", "shown"]
    assert [text.get_text() for ax in figure.axes for text in ax.texts].count("missing") == 1


def test_models_that_lack_the_task_are_left_out_and_those_that_lack_their_scores_are_missing(shown):
    folder, study = shown
    for model in ("edsr", "rdn"):
        (folder / f"runs/{model}-100-seed-3/images/sr2/photos/chelsea.png").unlink()
    study.results = study.results[~study.results["model"].isin(["edsr", "rdn"])]
    study.runs.loc[study.runs["model"] == "rdn", "tasks"] = "dn50"
    tiles, _, _ = load(study, "sr2", "photos", "chelsea")
    assert {tile.model: tile.pixels is not None for tile in tiles if tile.model} == {
        **{"bicubic": True, "ipt": True, "ipt-contrastive": True},
        "edsr": False,
    }


def test_the_crop_is_where_the_models_differ_most():
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (90, 120, 3), dtype="uint8")
    other = base.copy()
    other[40:60, 70:90] = 255 - other[40:60, 70:90]
    tiles = [Tile("a", "a", base, 30.0), Tile("b", "b", other, 31.0), Tile("HR original", None, base)]
    x, y, width, height = pick_crop(tiles)
    assert 70 <= x + width / 2 <= 90
    assert 40 <= y + height / 2 <= 60
    assert x >= 0
    assert y >= 0
    assert x + width <= 120
    assert y + height <= 90


def test_a_flat_window_is_not_shown_where_another_has_edges():
    flat = np.full((90, 120, 3), 128, dtype="uint8")
    original = flat.copy()
    original[10:30, 10:30:2] = 255  # edges, which the two restore a little differently
    other = original.copy()
    other[10:30, 10:30] -= 4
    other[60:80, 80:100] -= 6  # a larger difference on a flat window
    x, y, width, height = pick_crop(
        [Tile("a", "a", original, 30.0), Tile("b", "b", other, 31.0), Tile("HR", None, original)]
    )
    assert 10 <= x + width / 2 <= 30
    assert 10 <= y + height / 2 <= 30


@pytest.mark.parametrize("with_whole", [True, False])
def test_panels_fill_their_rows(with_whole):
    for count in (2, 3, 4, 5, 6, 7, 8, 9, 10, 12):
        down, across = arrange(count, with_whole)
        assert down * across == count
    assert arrange(6, with_whole=True) == (2, 3)
    down, across = arrange(11)
    assert down * across - 11 == 1


def test_nothing_is_drawn_twice_and_no_panel_overlaps_another(shown):
    _, study = shown
    with house_style():
        figure, table = draw(study, "sr2", "photos", "chelsea")
    assert table["name"].tolist() == ["bicubic", "IPT", "IPT + contrastive", "EDSR", "RDN", "HR original"]
    boxes = [ax.get_position() for ax in figure.axes]
    assert len(boxes) == 7
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(box.x0 >= 0 and box.x1 <= 1 and box.y0 >= 0 and box.y1 <= 1 for box in boxes)


def test_noisy_inputs_are_read_from_arrays(shown):
    folder, study = shown
    (folder / "inputs/sr2/photos/chelsea_LR.png").unlink()
    original = np.asarray(Image.open(folder / "inputs/sr2/photos/chelsea_HR.png")).astype("float32")
    np.save(folder / "inputs/sr2/photos/chelsea_LR.npy", np.moveaxis(original + 300, -1, 0))
    tiles, _, _ = load(study, "sr2", "photos", "chelsea")
    assert tiles[0].pixels.shape == original.shape
    assert (tiles[0].pixels == 255).all()


@pytest.mark.parametrize(
    ("crop", "named"),
    [((400, 0, 100, 50), ["400 0 100 50", "450 x 300"]), ((0, 0, 0, 5), ["0 0 0 5", "450 x 300"]), (None, None)],
)
def test_bad_input_is_named(shown, crop, named):
    folder, study = shown
    if crop is None:
        named = [folder / "inputs/sr2/photos/chelsea_HR.png"]
        named[0].unlink()
    with raises_naming(ReportError, *named), house_style():
        draw(study, "sr2", "photos", "chelsea", crop)
