import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.helpers import MODELS, gather, write_experiment, write_images
from workflows.analysis.records import ReportError, read_results
from workflows.reporting.__main__ import main
from workflows.reporting.comparison import draw
from workflows.reporting.image_panels import Tile, load, pick_crop
from workflows.reporting.style import house_style


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
    return folder, read_results(folder / "results.csv")


def test_tiles_run_from_input_to_original_with_each_images_own_score(shown):
    folder, results = shown
    tiles, fraction, seed = load(folder, "sr2", "photos", "chelsea")
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
    assert tiles[0].psnr is None
    assert tiles[-1].psnr is None
    # The input is enlarged without interpolation.
    assert (tiles[0].pixels[0::2, 0::2] == tiles[0].pixels[1::2, 1::2]).all()


def test_the_picture_shows_the_crop_asked_for(shown, tmp_path):
    folder, _ = shown
    out = [tmp_path / "comparison.png", tmp_path / "comparison.pdf", tmp_path / "comparison.csv"]
    arguments = [
        "compare",
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
    # Without the whole image there is nothing of it but the crops.
    assert main([*arguments, "--crop", "100", "50", "120", "80", "--crops-only", "--out", str(out[0])]) == 0
    with Image.open(out[0]) as picture:
        assert picture.height < 0.6 * height


def test_a_missing_model_is_shown_as_missing(shown):
    folder, _ = shown
    (folder / "runs/rdn-100-seed-3/images/sr2/photos/chelsea.png").unlink()
    with house_style():
        figure, table = draw(folder, "sr2", "photos", "chelsea")
    assert not table.set_index("model").loc["rdn", "shown"]
    assert [text.get_text() for ax in figure.axes for text in ax.texts].count("missing") == 1


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


def test_noisy_inputs_are_read_from_arrays(shown):
    folder, _ = shown
    (folder / "inputs/sr2/photos/chelsea_LR.png").unlink()
    original = np.asarray(Image.open(folder / "inputs/sr2/photos/chelsea_HR.png")).astype("float32")
    np.save(folder / "inputs/sr2/photos/chelsea_LR.npy", np.moveaxis(original + 300, -1, 0))
    tiles, _, _ = load(folder, "sr2", "photos", "chelsea")
    assert tiles[0].pixels.shape == original.shape
    assert (tiles[0].pixels == 255).all()


@pytest.mark.parametrize(
    ("crop", "message"),
    [((400, 0, 100, 50), "is not inside 450 x 300"), ((0, 0, 0, 5), "is not inside"), (None, None)],
)
def test_bad_input_is_named(shown, crop, message):
    folder, _ = shown
    if crop is None:
        (folder / "inputs/sr2/photos/chelsea_HR.png").unlink()
        message = "chelsea_HR.png: is missing"
    with pytest.raises(ReportError, match=message), house_style():
        draw(folder, "sr2", "photos", "chelsea", crop)
