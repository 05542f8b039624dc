"""What a source holds decides what is trained again; where it lies and when its files were written does not."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers import texture
from tests.snakemake_call import planned as plan
from tests.snakemake_call import run_snakemake

TARGET = "results/micro/runs/edsr-100-seed-0/model.safetensors"
MICRO = {
    "name": "micro",
    # As it is listed: before a network with other arguments is trained, each call builds it.
    "models": [{"name": "edsr", "variant": "edsr_tiny"}],
    "training": {"budget": {"steps": 1}, "batch_size": 2, "patch_size": 8, "accelerator": "cpu"},
}


def snakemake(workdir: Path, data: dict, **recipe) -> None:
    run_snakemake(workdir, changed(data, recipe), TARGET, cores=1)


def planned(workdir: Path, data: dict, **recipe) -> set[str]:
    return {*plan(workdir, changed(data, recipe), TARGET)}


def changed(data: dict, recipe: dict) -> dict:
    return {**MICRO, "data": data, "training": MICRO["training"] | recipe}


def write(path: Path, seed: int) -> None:
    """A file whose size does not depend on what it shows."""
    cv2.imwrite(str(path), texture(seed, 24, 24) // 2, [cv2.IMWRITE_PNG_COMPRESSION, 0])


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Path]:
    """A working directory with a finished training, and its folder of images, of which one is rejected."""
    workdir, images = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("data") / "images"
    (images / "a").mkdir(parents=True)
    for number in range(6):
        write(images / "a" / f"{number}.png", number)
    cv2.imwrite(str(images / "small.png"), np.zeros((5, 5, 3), np.uint8))
    snakemake(workdir, source(images))
    return workdir, images


def source(images: Path) -> dict:
    return {"source": "image_folder", "root": str(images), "validation": 1}


def copied(trained, tmp_path) -> tuple[Path, Path]:
    """Results and their records as they are, and the images somewhere else."""
    workdir, images = trained
    shutil.copytree(workdir, tmp_path / "work")
    shutil.copytree(images, tmp_path / "moved here" / "x")
    return tmp_path / "work", tmp_path / "moved here" / "x"


def test_images_that_were_moved_or_touched_train_nothing_again(trained, tmp_path):
    workdir, images = copied(trained, tmp_path)
    for path in [images, *images.rglob("*")]:
        os.utime(path, (2e9, 2e9))
    assert planned(workdir, source(images)) == set()
    shutil.move(images, tmp_path / "again")
    assert planned(workdir, source(tmp_path / "again")) == set()


def test_limits_that_leave_out_the_same_images_train_nothing_again(trained, tmp_path):
    workdir, images = copied(trained, tmp_path)
    again = planned(workdir, source(images) | {"max_undecodable": 0.5}, patch_size=6)
    assert again == {"train"}, "another recipe, of the same images"
    assert planned(workdir, source(images), patch_size=13) == {"manifest", "fraction", "train"}, "images are too small"
    assert planned(workdir, source(images)) == set(), "a dry run forgets nothing"


@pytest.mark.parametrize("change", ["added", "removed", "replaced"])
def test_images_that_are_others_train_again(trained, tmp_path, change):
    workdir, images = copied(trained, tmp_path)
    path = images / "a" / "3.png"
    size = path.stat().st_size
    if change == "added":
        write(images / "a" / "7.png", 7)
    elif change == "removed":
        path.unlink()
    else:
        write(path, 99)
        assert path.stat().st_size == size
    assert planned(workdir, source(images)) == {"manifest", "fraction", "train"}
    if change == "replaced":  # a dry run forgets nothing
        assert planned(workdir, source(images)) == {"manifest", "fraction", "train"}


def test_generated_images_that_were_deleted_are_made_again_for_a_new_run_and_train_no_other(tmp_path):
    drawn, results = {"count": 6, "size": 64, "validation": 1}, tmp_path / "results" / "micro"
    snakemake(tmp_path, drawn)
    shutil.rmtree(results / "data" / "images")
    first = Path(TARGET).parent.name
    before = (results / "runs" / first / "train.csv").read_bytes()  # with times of its own
    assert planned(tmp_path, drawn) == set(), "nothing needs them"
    more = ({**changed(drawn, {}), "seeds": [0, 1]}, TARGET, TARGET.replace("seed-0", "seed-1"))
    assert {*plan(tmp_path, *more)} == {"fraction", "train"}
    run_snakemake(tmp_path, *more, cores=1)
    assert (results / "data" / "images").is_dir()
    assert (results / "runs" / first / "train.csv").read_bytes() == before
    assert plan(tmp_path, *more) == {}


def test_copied_results_and_touched_folders_of_drawn_images_train_nothing_again(tmp_path):
    drawn = {"count": 6, "size": 64, "validation": 1}
    (tmp_path / "first").mkdir()
    snakemake(tmp_path / "first", drawn)
    (tmp_path / "first" / "results" / "micro" / "data" / "images" / "train").touch()
    (tmp_path / "first" / "results" / "micro" / "data" / "images").touch()
    assert planned(tmp_path / "first", drawn) == set()
    shutil.copytree(tmp_path / "first" / "results", tmp_path / "clone" / "results")  # without Snakemake's records
    runs = tmp_path / "clone" / "results" / "micro" / "runs"
    for number, path in enumerate([*runs.rglob("*"), *sorted(runs.parent.glob("data/*.csv"))]):
        os.utime(path, (1e9 + number, 1e9 + number))  # tables newer than runs, and in another order than they were made
    assert planned(tmp_path / "clone", drawn) == set()
    assert planned(tmp_path / "clone", drawn, budget={"steps": 3}) == {"train"}, "another length"
    assert planned(tmp_path / "first", {**drawn, "seed": 1}) == {"synthesize", "manifest", "fraction", "train"}
