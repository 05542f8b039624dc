import numpy as np
import pandas as pd
import pytest

from tests.helpers import assert_names
from workflows.analysis.__main__ import main
from workflows.analysis.patch_similarity import pick_anchors, similarity

RUNS = ["ipt-100-seed-0", "ipt-contrastive-100-seed-0"]


def test_similarity_is_the_cosine_to_the_anchor():
    features = np.random.default_rng(0).normal(size=(4, 5, 7))
    found = similarity(features, (1, 2))
    anchor = features[1, 2]
    expected = features[3, 4] @ anchor / np.linalg.norm(features[3, 4]) / np.linalg.norm(anchor)
    assert found.shape == (4, 5)
    assert found[3, 4] == pytest.approx(expected)
    assert found[1, 2] == pytest.approx(1)
    assert np.isfinite(similarity(np.zeros((2, 2, 3)), (0, 0))).all()


def test_anchors_are_inner_patches_of_low_and_high_contrast():
    rng = np.random.default_rng(0)
    image = np.full((48, 48, 3), 128, dtype="uint8")
    image[24:, :] = rng.integers(0, 256, (24, 48, 3))
    plain, _, rich = pick_anchors(image, 8, 8)
    assert plain[0] <= 2
    assert rich[0] >= 4
    assert all(0 < row < 7 and 0 < column < 7 for row, column in (plain, rich))


@pytest.fixture
def featured(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (24, 24, 3), dtype="uint8")
    for run in RUNS:
        path = tmp_path / "runs" / run / "features" / "sr2" / "photos" / "chelsea.npz"
        path.parent.mkdir(parents=True)
        np.savez(path, image=image, features=rng.normal(size=(8, 8, 12)).astype("float32"))
    return tmp_path


def compare(folder, runs=RUNS):
    scope = ["--task", "sr2", "--dataset", "photos", "--image", "chelsea", "--runs", *runs]
    return main(["similarity", "--experiment-dir", str(folder), *scope, "--out", str(folder / "out.csv")])


def test_every_run_is_compared_with_the_same_three_patches(featured):
    assert compare(featured) == 0
    table = pd.read_csv(featured / "out.csv")
    assert len(table) == 2 * 3 * 64
    anchors = table.groupby("run").apply(lambda rows: set(map(tuple, rows[["anchor_row", "anchor_column"]].to_numpy())))
    assert anchors[RUNS[0]] == anchors[RUNS[1]]
    with np.load(featured / f"runs/{RUNS[1]}/features/sr2/photos/chelsea.npz") as arrays:
        features = arrays["features"].astype("float64")
    row = table[table.run == RUNS[1]].iloc[100]
    expected = similarity(features, (int(row.anchor_row), int(row.anchor_column)))[int(row.row), int(row.column)]
    assert row.similarity == pytest.approx(expected, abs=1e-6)


def test_features_of_two_windows_are_not_compared(featured, capsys):
    path = featured / f"runs/{RUNS[0]}/features/sr2/photos/chelsea.npz"
    with np.load(path) as arrays:
        np.savez(path, image=arrays["image"][::-1], features=arrays["features"])
    assert compare(featured) == 2
    assert_names(capsys.readouterr().err, "error", path)
    path.unlink()
    assert compare(featured) == 2
    assert_names(capsys.readouterr().err, "error", path)


def test_a_run_is_compared_once(featured, capsys):
    assert compare(featured, [*RUNS, RUNS[0]]) == 2
    assert_names(capsys.readouterr().err, "error", "--runs", RUNS[0])
    assert not (featured / "out.csv").exists()


IMAGE = np.zeros((24, 24, 3), "uint8")
FEATURES = np.ones((8, 8, 12), "float32")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"junk", []),
        (b"", []),
        ("truncated", []),
        (FEATURES, []),
        ({"image": IMAGE}, ["features"]),
        ({"features": FEATURES}, ["image"]),
        ({"image": IMAGE, "features": np.array([{}])}, []),
        ({"image": IMAGE, "features": FEATURES[0]}, ["features", (8, 12)]),
        ({"image": IMAGE, "features": FEATURES.astype("str")}, ["features"]),
        ({"image": IMAGE[..., 0], "features": FEATURES}, ["image", (24, 24)]),
        ({"image": IMAGE.astype("float32"), "features": FEATURES}, ["image", "float32", "uint8"]),
        ({"image": IMAGE, "features": FEATURES[:0]}, ["features", (0, 8, 12)]),
        ({"image": IMAGE, "features": FEATURES[:2, :2]}, ["features", "2 x 2", "4 x 4"]),
        ({"image": IMAGE, "features": FEATURES[:1, :1]}, ["features", "1 x 1", "4 x 4"]),
        ({"image": IMAGE[:6], "features": FEATURES}, ["features", "8 x 8", "image", (6, 24)]),
        ({"image": IMAGE, "features": np.where(np.arange(12) == 3, np.nan, FEATURES)}, ["features", 64, 768]),
    ],
)
def test_bad_features_are_one_message(featured, capsys, content, named):
    path = featured / f"runs/{RUNS[0]}/features/sr2/photos/chelsea.npz"
    if isinstance(content, str):
        path.write_bytes(path.read_bytes()[:-200])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        with open(path, "wb") as file:
            np.save(file, content)
    assert compare(featured) == 2
    printed = capsys.readouterr().err
    assert_names(printed, "error", path, *named)
    assert printed.count("\n") == 1
    assert not (featured / "out.csv").exists()
