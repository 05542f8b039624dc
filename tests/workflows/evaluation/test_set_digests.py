"""Scores know the images they were made from, wherever those lie."""

import json
import shutil

from tests.helpers import texture
from workflows.config.benchmark_sets import SETS
from workflows.evaluation.image_files import write
from workflows.evaluation.set_digests import set_digests, sha256_of_folder


def test_a_digest_follows_the_images_and_not_their_folder(tmp_path):
    for number, name in enumerate("ab"):
        write(tmp_path / "root" / "mine" / f"{name}.png", texture(number, 16, 16))

    def digests(root):
        return set_digests(["mine=mine"], ["sr2", "dn30"], root)

    first = digests(tmp_path / "root")
    assert list(first) == ["mine sr2", "mine dn30"]
    shutil.copytree(tmp_path / "root", tmp_path / "moved", copy_function=shutil.copyfile)  # with other times
    assert digests(tmp_path / "moved") == first
    write(tmp_path / "root" / "mine" / "b.png", texture(7, 16, 16))
    replaced = digests(tmp_path / "root")
    write(tmp_path / "moved" / "mine" / "c.png", texture(2, 16, 16))
    added = digests(tmp_path / "moved")
    (tmp_path / "moved" / "mine" / "c.png").rename(tmp_path / "moved" / "mine" / "d.png")
    renamed = digests(tmp_path / "moved")
    assert len({d["mine sr2"] for d in (first, replaced, added, renamed)}) == 4


def test_a_fetched_set_has_one_digest_before_and_after_and_another_once_it_is_changed(tmp_path):
    folder, receipts = tmp_path / "benchmark" / "Set5", tmp_path / "receipts"

    def digests():
        return set_digests(["Set5"], ["sr2"], tmp_path, ["Set5", "Set14"], receipts)

    absent = digests()
    assert absent == {"Set5": SETS["Set5"].download["sha256"]}
    for number, name in enumerate(("baby", "bird", "butterfly", "head", "woman")):
        write(folder / "HR" / f"{name}.png", texture(number, 16, 16))
    receipts.mkdir()
    (receipts / "Set5.json").write_text(json.dumps({"images_sha256": sha256_of_folder(folder)}))
    assert digests() == absent
    write(folder / "HR" / "baby.png", texture(9, 16, 16))
    assert list(digests()) == ["Set5 sr2"]
