"""Sets: names, layouts, completeness, and messages that say what is wrong and where."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ipt_models.tasks import parse_task
from tests.helpers import assert_names, raises_naming
from workflows.evaluation.sets import SETS, SetError, check, fetchable, find, find_jobs, parse_set

SR2, DN30, DR = parse_task("sr2"), parse_task("dn30"), parse_task("dr")


def images(folder: Path, *names: str, size=(16, 12)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", size).save(folder / name)
    return folder


def five(suffix=".png"):
    return [f"{name}{suffix}" for name in ("baby", "bird", "butterfly", "head", "woman")]


def found(name, task, root):
    return [(sample.image, str(sample.target.relative_to(root))) for sample in find(parse_set(name), task, root)]


@pytest.mark.parametrize("layout", ["benchmark/Set5/HR", "benchmark/Set5", "Set5/HR", "Set5", "set5/hr", "Set5/Set5"])
def test_the_usual_layouts_are_found(tmp_path, layout):
    images(tmp_path / layout, *five())
    assert [image for image, _ in found("Set5", SR2, tmp_path)] == ["baby", "bird", "butterfly", "head", "woman"]


@pytest.mark.parametrize("layout", ["Set5", "Set5/image_SRF_2", "Set5_SR/image_SRF_2"])
def test_files_named_by_scale_are_found_for_their_scale(tmp_path, layout):
    for i in range(1, 6):
        images(
            tmp_path / layout, f"img_{i:03}_SRF_2_HR.png", f"img_{i:03}_SRF_2_LR.png", f"img_{i:03}_SRF_2_bicubic.png"
        )
    assert found("Set5", SR2, tmp_path)[0] == ("img_001", f"{layout}/img_001_SRF_2_HR.png")
    with raises_naming(SetError, "Set5", tmp_path):
        find(parse_set("Set5"), parse_task("sr3"), tmp_path)


def test_another_name_finds_the_same_set(tmp_path):
    names = [f"{i:03}.jpg" for i in range(100)]
    images(tmp_path / "BSD100", *names)
    assert parse_set("BSD100").label == "B100"
    assert len(find(parse_set("B100"), SR2, tmp_path)) == 100
    with raises_naming(SetError, "B100"):
        find_jobs(["B100", "BSD100"], ["sr2"], tmp_path)


def test_a_task_that_no_set_is_for_is_told_that_any_folder_serves(tmp_path):
    with raises_naming(SetError, "dn50", "Set5", "NAME=FOLDER"):
        find_jobs(["Set5"], ["sr2", "dn50"], images(tmp_path, *five()))


def test_only_the_validation_images_of_a_common_folder_are_taken(tmp_path):
    images(tmp_path / "DIV2K/DIV2K_train_HR", *(f"{i:04}.png" for i in range(795, 901)))
    samples = find(parse_set("DIV2K"), SR2, tmp_path)
    assert (samples[0].image, samples[-1].image) == ("0801", "0900")


@pytest.mark.parametrize(
    ("targets", "inputs"),
    [("norain-{}.png", "rain-{}.png"), ("norain/{}.png", "rain/{}.png"), ("target/{}.png", "input/{}.png")],
)
def test_rainy_pairs_are_joined_in_each_layout(tmp_path, targets, inputs):
    for i in range(1, 101):
        for name in (targets, inputs):
            path = tmp_path / "Rain100L" / name.format(f"{i:03}")
            images(path.parent, path.name)
    samples = find(parse_set("Rain100L"), DR, tmp_path)
    assert len(samples) == 100
    assert samples[6].target.name == Path(targets.format("007")).name
    assert samples[6].input.name == Path(inputs.format("007")).name


def test_the_archive_of_the_rainy_sets_is_read_as_its_authors_pack_it(tmp_path):
    folder = tmp_path / "Rain100L/rain_data_test_Light"
    images(folder / "norain", *(f"norain-{i:03}.png" for i in range(1, 101)))
    images(folder / "rain/X2", *(f"norain-{i:03}x2.png" for i in range(1, 101)))
    (tmp_path / "Rain100L/norain").mkdir()
    (tmp_path / "Rain100L/rain").mkdir()
    samples = find(parse_set("Rain100L"), DR, tmp_path)
    assert (samples[6].target.name, samples[6].input.name) == ("norain-007.png", "norain-007x2.png")
    with raises_naming(SetError, "Rain100H", "norain-NUMBER", "rain/X2"):
        find(parse_set("Rain100H"), DR, tmp_path)


def test_pairs_without_a_partner_are_named(tmp_path):
    images(tmp_path / "Rain100L", "norain-001.png", "rain-001.png", "rain-002.png")
    with raises_naming(SetError, "Rain100L", tmp_path / "Rain100L" / "rain-002.png"):
        find(parse_set("Rain100L"), DR, tmp_path)


def test_a_complete_copy_is_preferred_to_an_earlier_incomplete_one(tmp_path):
    images(tmp_path / "benchmark/Set5/HR", "baby.png")
    images(tmp_path / "Set5", *five())
    assert len(find(parse_set("Set5"), SR2, tmp_path)) == 5


@pytest.mark.parametrize("names", [["baby.png"], [*five(), "more.png"]])
def test_too_few_or_too_many_images_are_refused_with_the_folder(tmp_path, names):
    folder = images(tmp_path / "Set5", *names)
    with raises_naming(SetError, "Set5", 5, folder, len(names), "sr2"):
        find(parse_set("Set5"), SR2, tmp_path)


def test_a_missing_set_says_where_it_was_looked_for(tmp_path):
    with raises_naming(SetError, "Set5", tmp_path, "benchmark/NAME/HR", "NAME_SR/image_SRF_{2,3,4}"):
        find(parse_set("Set5"), SR2, tmp_path)
    with raises_naming(SetError, f"download --sets DIV2K --data-root {tmp_path}"):
        find(parse_set("DIV2K"), SR2, tmp_path)
    with raises_naming(SetError, "Set5", "Set5/"):
        find(parse_set("Set5"), SR2, None)


def test_the_first_images_can_be_asked_for_under_a_name_that_says_so(tmp_path):
    images(tmp_path / "Set5", *five())
    (job,) = find_jobs(["Set5@2"], ["sr2"], tmp_path)
    assert [sample.image for sample in job.samples] == ["baby", "bird"]
    assert (job.request.label, job.request.name) == ("Set5@2", "Set5")
    request = parse_set("Set5@2@matlab")
    assert (request.label, request.name, request.first, request.gray) == ("Set5@2@matlab", "Set5", 2, "matlab")
    (tmp_path / "Set5/woman.png").unlink()
    assert len(find(parse_set("Set5@4"), SR2, tmp_path)) == 4
    with raises_naming(SetError, tmp_path / "Set5", 5, 4, "Set5@4"):
        find(parse_set("Set5@5"), SR2, tmp_path)


def test_any_folder_and_any_pair_of_folders(tmp_path):
    images(tmp_path / "hr", "a.png", "b.jpg", "._a.png")
    (tmp_path / "hr/readme.txt").write_text("not an image")
    images(tmp_path / "lr", "ax2.png", "bx2.png", size=(8, 6))
    assert [image for image, _ in found("mine=hr", DN30, tmp_path)] == ["a", "b"]
    samples = find(parse_set("mine=hr,lr"), SR2, tmp_path)
    assert [(s.image, s.input.name) for s in samples] == [("a", "ax2.png"), ("b", "bx2.png")]
    check(["mine=hr,lr"], tmp_path, ["sr2"])
    with raises_naming(SetError, "mine", tmp_path / "hr/a.png", tmp_path / "lr/bx2.png"):
        check(["mine=hr,lr"], tmp_path, ["dn30"])
    with raises_naming(SetError, "mine", tmp_path / "nowhere"):
        check(["mine=nowhere"], tmp_path, ["sr2"])
    with raises_naming(SetError, "mine", tmp_path / "hr", "rain-001.png", "norain-001.png"):
        check(["mine=hr"], tmp_path, ["dr"])


def test_the_same_image_twice_is_refused(tmp_path):
    images(tmp_path / "hr", "a.png", "a.jpg")
    with raises_naming(SetError, tmp_path / "hr/a.jpg", tmp_path / "hr/a.png"):
        find(parse_set("mine=hr"), SR2, tmp_path)
    images(tmp_path / "lr", "a.png", "ax2.png", size=(8, 6))
    with raises_naming(SetError, tmp_path / "hr/a.jpg", tmp_path / "hr/a.png"):
        find(parse_set("mine=hr,lr"), SR2, tmp_path)
    (tmp_path / "hr/a.jpg").unlink()
    with raises_naming(SetError, tmp_path / "lr/a.png", tmp_path / "lr/ax2.png"):
        find(parse_set("mine=hr,lr"), SR2, tmp_path)


def test_folders_are_looked_for_below_the_data_root_and_then_where_the_command_runs(tmp_path, monkeypatch):
    images(tmp_path / "here/both", "here.png")
    images(tmp_path / "here/photos", "here.png")
    images(tmp_path / "root/both", "root.png")
    monkeypatch.chdir(tmp_path / "here")
    names = [find(parse_set(f"mine={folder}"), SR2, tmp_path / "root")[0].image for folder in ("both", "photos")]
    assert names == ["root", "here"]
    with raises_naming(SetError, tmp_path / "root/gone", tmp_path / "here/gone"):
        find(parse_set("mine=gone"), SR2, tmp_path / "root")


def test_a_task_that_is_named_twice_is_refused(tmp_path):
    images(tmp_path / "Set5", *five())
    with raises_naming(SetError, "sr2"):
        find_jobs(["Set5"], ["sr2", "sr2"], tmp_path)


def test_each_set_is_scored_on_its_own_tasks(tmp_path):
    images(tmp_path / "Set5", *five())
    jobs = find_jobs(["photos", "Set5"], ["sr2", "dn30"], tmp_path)
    assert [(job.request.label, job.task.name) for job in jobs] == [
        ("photos", "sr2"),
        ("photos", "dn30"),
        ("Set5", "sr2"),
    ]


def test_a_set_or_task_without_the_other_is_refused_and_all_problems_are_reported_at_once(tmp_path):
    images(tmp_path / "Set5", *five())
    with pytest.raises(SetError) as error:
        find_jobs(["Set5", "CBSD68", "Urban10"], ["sr2", "dr"], tmp_path)
    lines = str(error.value).splitlines()
    named = (["'Urban10'", "'Urban100'"], ["CBSD68", "dn", "sr2, dr"], ["dr", "Set5, CBSD68", "Rain100L, Rain100H"])
    for line, parts in zip(lines, named, strict=True):
        assert_names(line, *parts)


def test_headers_are_checked_before_any_job(tmp_path):
    images(tmp_path / "Set5", *five())
    check(["Set5"], tmp_path, ["sr2"])
    (tmp_path / "Set5/bird.png").write_bytes(b"not a png")
    images(tmp_path / "Set5", "head.png", size=(30, 5))
    with pytest.raises(SetError) as error:
        check(["Set5"], tmp_path, ["sr2", "sr3"])
    assert_names(error.value, "bird.png", "head.png", "30x5", 2, "sr2")
    assert str(error.value).count("bird.png") == 1


def test_mismatched_pairs_are_refused_before_any_job(tmp_path):
    images(tmp_path / "rain", "norain-1.png", "norain-2.png", "rain-1.png")
    images(tmp_path / "rain", "rain-2.png", size=(16, 13))
    with raises_naming(SetError, tmp_path / "rain/rain-2.png", "16x13", "norain-2.png", "16x12", 1):
        check(["mine=rain"], tmp_path, ["dr"])


def test_only_sets_that_are_nowhere_and_have_an_address_are_fetched(tmp_path):
    names = ["Set5", "Set14@3", "DIV2K", "CBSD68", "photos", "mine=x"]
    assert fetchable(names, ["sr2", "dn30"], tmp_path) == ["Set5", "Set14", "DIV2K"]
    images(tmp_path / "Set5", *five())
    images(tmp_path / "benchmark/Set14", "one.png")  # incomplete, and not ours to replace
    assert fetchable(names, ["sr2"], tmp_path) == ["DIV2K"]
    assert fetchable(names, ["dr"], tmp_path) == []
    check(["Set5", "DIV2K"], tmp_path, ["sr2"], absent=["DIV2K"])
    with raises_naming(SetError, "DIV2K", "sr", "dn", "dr"):
        check(["DIV2K"], tmp_path, ["dr"], absent=["DIV2K"])


def test_bundled_photographs_need_no_data_root():
    (job,) = find_jobs(["photos"], ["sr2"], None)
    assert len(job.samples) == SETS["photos"].count >= 5
    assert all(np.asarray(Image.open(sample.target)).shape[2] == 3 for sample in job.samples)
    check(["photos"], None, ["sr2", "dn50", "dr"])
