import numpy as np
import pytest

from workflows.analysis.records import ReportError
from workflows.reporting.__main__ import main
from workflows.reporting.similarity import draw, pick_anchors, read_features, similarity
from workflows.reporting.study import Study
from workflows.reporting.style import house_style


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
def featured(experiment, gathered, tmp_path):
    gathered(fractions=(0.2, 1.0))
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (24, 24, 3), dtype="uint8")
    for run in ("ipt-100-seed-0", "ipt-contrastive-100-seed-0"):
        path = tmp_path / "small" / "runs" / run / "features" / "sr2" / "photos" / "chelsea.npz"
        path.parent.mkdir(parents=True)
        np.savez(path, image=image, features=rng.normal(size=(8, 8, 12)).astype("float32"))
    return tmp_path / "small"


def arguments(folder, out):
    scope = ["--task", "sr2", "--dataset", "photos", "--image", "chelsea"]
    runs = ["--runs", "ipt-100-seed-0", "ipt-contrastive-100-seed-0"]
    return ["similarity", "--experiment-dir", str(folder), *scope, *runs, "--out", *map(str, out)]


def test_every_run_has_a_row_of_maps_and_the_image_can_be_left_out(featured, tmp_path):
    out = [tmp_path / "similarity.png", tmp_path / "similarity.csv"]
    assert main(arguments(featured, out)) == 0
    lines = out[1].read_text().splitlines()
    assert len(lines) == 1 + 2 * 3 * 64
    assert {line.split(",")[0] for line in lines[1:]} == {"ipt-100-seed-0", "ipt-contrastive-100-seed-0"}
    assert out[0].stat().st_size > 5000
    study = Study(featured)
    for with_whole, across in ((True, 4), (False, 3)):
        with house_style():
            figure, _ = draw(
                study, "sr2", "photos", "chelsea", ["ipt-100-seed-0", "ipt-contrastive-100-seed-0"], with_whole
            )
            panels = [ax for ax in figure.axes if ax.images]
            assert len(panels) == 2 * across


def test_bad_features_are_named(featured, tmp_path, capsys):
    path = featured / "runs/ipt-100-seed-0/features/sr2/photos/chelsea.npz"
    np.savez(path, image=np.zeros((24, 24, 3), "uint8"))
    with pytest.raises(ReportError, match=r"chelsea\.npz: lacks features"):
        read_features(path)
    path.unlink()
    assert main(arguments(featured, [tmp_path / "x.png"])) == 2
    assert "chelsea.npz: is missing" in capsys.readouterr().err
