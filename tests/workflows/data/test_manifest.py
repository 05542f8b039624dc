"""The manifest holds every usable image once, says why the others are left out, and survives interruption."""

import hashlib
import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.helpers import raises_naming, texture
from workflows.data import inspection
from workflows.data.decoding import decode
from workflows.data.manifest import read_table, scan, write_table


def encoded(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(cv2.resize(texture(0, 12, 16), (80, 60), interpolation=cv2.INTER_CUBIC))


def usable_variants(photo: Image.Image) -> dict[str, bytes]:
    """What is really in ImageNet besides plain RGB JPEGs."""
    turned = Image.Exif()
    turned[274] = 6  # "rotate by 90 degrees to display"
    return {
        "plain.JPEG": encoded(photo, "jpeg"),
        "gray.JPEG": encoded(photo.convert("L"), "jpeg"),
        "cmyk.JPEG": encoded(photo.convert("CMYK"), "jpeg"),
        "progressive.JPEG": encoded(photo, "jpeg", progressive=True),
        "png_inside.JPEG": encoded(photo, "png"),
        "turned.JPEG": encoded(photo, "jpeg", exif=turned),
        "trailing.JPEG": encoded(photo, "jpeg") + b"\0" * 100,
        "palette.png": encoded(photo.convert("P"), "png", transparency=0),
        "alpha.png": encoded(photo.convert("RGBA"), "png"),
        "deep.png": encoded(Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257), "png"),
    }


def noted(photo: Image.Image, index: int) -> bytes:
    """A PNG of the photo that equals no other file."""
    image = photo.copy()
    image.putpixel((0, 0), (index, index, index))
    return encoded(image, "png")


def fill(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / "train" / "n00000001" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def test_what_is_in_imagenet_is_decoded_to_rgb_of_the_size_in_the_manifest(tmp_path, photo):
    files = usable_variants(photo)
    found = scan(fill(tmp_path, files))
    assert len(found.rejected) == 0
    assert found.images["path"].tolist() == sorted(f"train/n00000001/{name}" for name in files)
    for row in found.images.itertuples():
        data = files[Path(row.path).name]
        assert (row.width, row.height, row.bytes) == (80, 60, len(data))
        assert row.sha256 == hashlib.sha256(data).hexdigest()
        image = decode(data, row.path)
        assert image.shape == (60, 80, 3)
        mode = "P" if "palette" in row.path else "L" if "gray" in row.path or "deep" in row.path else "RGB"
        expected = np.asarray(photo.convert(mode).convert("RGB")).astype(int)
        assert np.abs(image - expected).mean() < (8 if row.path.endswith("JPEG") else 1), row.path


def test_what_cannot_be_used_is_listed_with_its_reason(tmp_path, photo):
    whole = encoded(photo, "jpeg")
    files = {
        "good.JPEG": whole,
        "empty.JPEG": b"",
        "cut.JPEG": whole[: len(whole) // 2],
        "cut.png": encoded(photo, "png")[:-3000],
        "text.JPEG": b"<html>not found</html>",
        "small.JPEG": encoded(photo.crop((0, 0, 80, 40)), "jpeg"),
    }
    found = scan(fill(tmp_path, files), min_side=48, max_undecodable=0.7)
    assert found.images["path"].tolist() == ["train/n00000001/good.JPEG"]
    reasons = {Path(row.path).name: row.reason for row in found.rejected.itertuples()}
    assert reasons["empty.JPEG"] == "empty file"
    assert reasons["text.JPEG"] == "not an image"
    assert reasons["cut.JPEG"].startswith("cannot be decoded")
    assert reasons["cut.png"].startswith("cannot be decoded")
    assert reasons["small.JPEG"] == "too small: 80x40, needs 48 pixels a side"
    assert found.rejected["path"].is_monotonic_increasing


def test_too_many_undecodable_files_stop_the_scan_but_small_ones_do_not(tmp_path, photo):
    files = {f"{index}.JPEG": encoded(photo, "jpeg", comment=str(index)) for index in range(18)}
    fill(tmp_path, files | {"98.JPEG": b"", "99.JPEG": b"x"})
    with raises_naming(ValueError, "2 of 20", tmp_path, "5.00%", "train/n00000001/98.JPEG", "data.max_undecodable"):
        scan(tmp_path, max_undecodable=0.05)
    assert len(scan(tmp_path, max_undecodable=0.1).rejected) == 2
    with raises_naming(ValueError, 20, tmp_path, "train/n00000001/0.JPEG", "80x60", 100):
        scan(tmp_path, min_side=100, max_undecodable=0.1)


def test_an_interrupted_scan_continues_where_it_stopped(tmp_path, photo, monkeypatch):
    root = fill(tmp_path / "images", {f"{index:02d}.png": noted(photo, index) for index in range(12)})
    expected = scan(root).images
    journal, read = tmp_path / "journal", tmp_path / "read"
    inspect = inspection._inspect

    def interrupted(root, entry):
        if entry.path.endswith("07.png"):
            raise KeyboardInterrupt
        return inspect(root, entry)

    def logged(root, entry):
        with open(read, "a", encoding="utf-8") as file:
            file.write(f"{entry.path}\n")
        return inspect(root, entry)

    monkeypatch.setattr(inspection, "_CHUNK", 4)
    monkeypatch.setattr(inspection, "_inspect", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scan(root, journal=journal, threads=1)
    with open(journal, "a", encoding="utf-8") as file:
        file.write("train/n00000001/11.png,,0,12")  # as a kill in the middle of a line leaves it

    monkeypatch.setattr(inspection, "_inspect", logged)
    (root / "train/n00000001/02.png").write_bytes(encoded(photo.rotate(90, expand=True), "png"))
    resumed = scan(root, journal=journal, threads=1).images
    seen = set(read.read_text().split())
    assert "train/n00000001/00.png" not in seen
    assert {f"train/n00000001/{index:02d}.png" for index in (2, 7, 8, 9, 10, 11)} <= seen
    unchanged = expected["path"] != "train/n00000001/02.png"
    assert resumed[unchanged].equals(expected[unchanged])
    assert resumed["width"][2] == 60


def test_a_long_scan_says_how_far_it_is(tmp_path, photo, monkeypatch, capsys):
    root = fill(tmp_path, {f"{index:02d}.png": noted(photo, index) for index in range(12)})
    monkeypatch.setattr(inspection, "_CHUNK", 4)
    scan(root)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["30 %", "60 %"]
    assert all("images/s" in line and "min left" in line for line in lines)


def test_the_listing_order_of_the_file_system_plays_no_part(tmp_path, photo, monkeypatch):
    root = fill(tmp_path, {f"{index}.png": noted(photo, index) for index in range(5)})
    expected = scan(root).images

    class Reversed:
        def __init__(self, folder):
            self.items = list(scandir(folder))[::-1]

        def __enter__(self):
            return iter(self.items)

        def __exit__(self, *error):
            pass

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", Reversed)
    assert scan(root).images.equals(expected)


def test_a_table_survives_writing_and_reading(tmp_path, photo):
    root = fill(tmp_path, {"a,b.png": noted(photo, 1), 'say "x".png': noted(photo, 2)})
    images = scan(root).images
    images.loc[0, "class"] = ""
    images.loc[1, "class"] = "007"
    write_table(images, tmp_path / "m.csv")
    assert read_table(tmp_path / "m.csv").equals(images)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.csv", "train"]
    (tmp_path / "m.csv").write_text("a,b\n1,2\n")
    with raises_naming(ValueError, tmp_path / "m.csv", "path", "sha256"):
        read_table(tmp_path / "m.csv")


def test_real_images_are_all_decodable(shared_data):
    found = scan(shared_data / "imagenet", min_side=96)
    assert len(found.images) + len(found.rejected) == 500
    assert found.rejected["reason"].str.startswith("too small").all()
    assert len(found.rejected) == 4
