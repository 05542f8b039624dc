"""Image files: read exactly, or refused by name; written whole or not at all."""

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.helpers import raises_naming
from workflows.evaluation.image_files import ImageError, inspect, read, write

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (7, 9, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm"])
def test_rgb_files_are_read_bit_for_bit(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RGB).save(path)
    picture = read(path)
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert not picture.gray
    assert inspect(path) == (7, 9)


def test_gray_files_become_three_equal_channels_and_say_that_they_were_gray(tmp_path):
    Image.fromarray(RGB[..., 0]).save(tmp_path / "a.png")
    picture = read(tmp_path / "a.png")
    assert picture.gray
    np.testing.assert_array_equal(picture.pixels, RGB[..., :1].repeat(3, axis=2))


def test_one_bit_files_are_black_and_white(tmp_path):
    bits = RGB[..., 0] > 127
    Image.fromarray(bits).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png").pixels[..., 1], bits * np.uint8(255))


def test_palette_files_have_their_exact_colors(tmp_path):
    colors = RGB.reshape(-1, 3)[:16]
    indices = RNG.integers(0, 16, (7, 9), dtype=np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(colors.tobytes())
    image.save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "P"
    np.testing.assert_array_equal(read(tmp_path / "a.png").pixels, colors[indices])


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_an_opaque_alpha_channel_is_dropped_and_a_transparent_one_refused(tmp_path, mode):
    color = RGB if mode == "RGBA" else RGB[..., :1]
    alpha = np.full((7, 9, 1), 255, np.uint8)
    Image.fromarray(np.concatenate([color, alpha], 2)).save(tmp_path / "opaque.png")
    picture = read(tmp_path / "opaque.png")
    np.testing.assert_array_equal(picture.pixels, np.broadcast_to(color, RGB.shape))
    assert picture.gray == (mode == "LA")
    alpha[3, 3] = 254
    Image.fromarray(np.concatenate([color, alpha], 2)).save(tmp_path / "glass.png")
    with raises_naming(ImageError, tmp_path / "glass.png"):
        read(tmp_path / "glass.png")


def test_a_transparent_palette_color_is_refused(tmp_path):
    image = Image.fromarray(np.zeros((7, 9), np.uint8))
    image.putpalette([1, 2, 3])
    image.save(tmp_path / "a.png")
    assert (read(tmp_path / "a.png").pixels == [1, 2, 3]).all()
    image.save(tmp_path / "a.png", transparency=0)
    with raises_naming(ImageError, tmp_path / "a.png"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_refused(tmp_path, suffix, channels):
    path = tmp_path / f"deep.{suffix}"
    deep = RGB.astype(np.uint16) * 257
    cv2.imwrite(str(path), deep if channels == 3 else deep[..., 0])
    for reader in (read, inspect):
        with raises_naming(ImageError, path, 16, 8):
            reader(path)


@pytest.mark.parametrize(
    ("mode", "suffix", "named"), [("CMYK", "jpg", "CMYK"), ("LAB", "tif", "LAB"), ("F", "tif", 32)]
)
def test_other_color_models_are_refused(tmp_path, mode, suffix, named):
    path = tmp_path / f"a.{suffix}"
    Image.new(mode, (9, 7)).save(path)
    with raises_naming(ImageError, path, named):
        read(path)


def test_several_frames_are_refused(tmp_path):
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    for count in (1, 2):
        frames[0].save(tmp_path / f"{count}.tif", save_all=True, append_images=frames[1:count])
    np.testing.assert_array_equal(read(tmp_path / "1.tif").pixels, RGB)
    with raises_naming(ImageError, tmp_path / "2.tif"):
        read(tmp_path / "2.tif")


def test_the_first_frame_of_a_camera_s_mpo_is_the_photo(tmp_path):
    photo, preview = Image.fromarray(RGB), Image.fromarray(255 - RGB)
    photo.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[preview], quality=95)
    photo.save(tmp_path / "one.jpg", quality=95)
    np.testing.assert_array_equal(read(tmp_path / "a.jpg").pixels, read(tmp_path / "one.jpg").pixels)
    assert inspect(tmp_path / "a.jpg") == (7, 9)


@pytest.mark.parametrize(("orientation", "turned"), [(3, RGB[::-1, ::-1]), (6, np.rot90(RGB, -1)), (8, np.rot90(RGB))])
def test_exif_rotated_files_are_turned_upright(tmp_path, orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "a.png").pixels, turned)
    assert inspect(tmp_path / "a.png") == turned.shape[:2]
    Image.fromarray(RGB).save(tmp_path / "a.jpg", exif=exif)
    assert inspect(tmp_path / "a.jpg") == read(tmp_path / "a.jpg").pixels.shape[:2] == turned.shape[:2]


def test_damaged_and_foreign_files_are_named(tmp_path):
    write(tmp_path / "a.png", RGB.repeat(20, 0).repeat(20, 1))
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    assert inspect(tmp_path / "cut.png") == (140, 180)
    with raises_naming(ImageError, tmp_path / "cut.png"):
        read(tmp_path / "cut.png")
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("text", "empty"):
        with raises_naming(ImageError, tmp_path / f"{name}.png"):
            read(tmp_path / f"{name}.png")
    with raises_naming(ImageError, tmp_path / "gone.png"):
        read(tmp_path / "gone.png")


def test_what_is_written_is_read_and_no_temporary_file_stays(tmp_path):
    write(tmp_path / "deep/er/a.png", RGB)
    np.testing.assert_array_equal(read(tmp_path / "deep/er/a.png").pixels, RGB)
    assert [p.name for p in (tmp_path / "deep/er").iterdir()] == ["a.png"]
