"""What models are given: the protocol's degradations, the same pixels for every model on every machine."""

import numpy as np
import pytest
import torch

from baselines.bicubic import bicubic_resize
from ipt_models.tasks import parse_task
from workflows.evaluation.image_files import Picture, write
from workflows.evaluation.inputs import Files, as_batch, as_pixels, decode, degraded_pixels, target_pixels
from workflows.evaluation.protocol import Protocol, border, cropped
from workflows.evaluation.sets import Sample, parse_set

CLEAN = np.random.default_rng(1).integers(0, 256, (26, 31, 3), dtype=np.uint8)
SET5 = parse_set("Set5")
BABY = Sample("baby", None)
DN30 = parse_task("dn30")


def degrade(task, protocol=Protocol(), sample=BABY, request=SET5, gray=False, pixels=CLEAN):  # noqa: B008
    files = Files(Picture(pixels, gray), None)
    return degraded_pixels(files, request, sample, parse_task(task), protocol)


@pytest.mark.parametrize(
    ("task", "size"), [("sr2", (26, 30)), ("sr3", (24, 30)), ("sr4", (24, 28)), ("dn30", (26, 31))]
)
def test_targets_are_cut_to_a_multiple_of_the_scale(task, size):
    task = parse_task(task)
    target = target_pixels(Files(Picture(CLEAN, False), None), task)
    np.testing.assert_array_equal(target, CLEAN[: size[0], : size[1]])
    assert cropped(26, 31, task) == size
    assert border(task) == (task.scale if task.kind == "sr" else 0)
    assert degrade(task.name).shape[:2] == (size[0] // task.scale, size[1] // task.scale)


def test_reduced_images_are_matlabs_of_the_cut_target():
    low = degrade("sr3")
    assert low.dtype == np.uint8
    target = torch.from_numpy(CLEAN[:24, :30]).permute(2, 0, 1)
    np.testing.assert_array_equal(low, bicubic_resize(target, 1 / 3).permute(1, 2, 0))


def test_the_float_option_rounds_once():
    low = degrade("sr2", Protocol(bicubic="float"))
    exact = bicubic_resize(torch.from_numpy(CLEAN[:26, :30]).permute(2, 0, 1).double(), 0.5).permute(1, 2, 0).numpy()
    assert np.abs(low - np.clip(exact, 0, 255)).max() <= 0.5 + 1e-6
    assert (low != degrade("sr2")).any()


def test_noise_has_its_level_is_clipped_and_not_rounded():
    middle = np.full((200, 200, 3), 128, np.uint8)
    noisy = degrade("dn30", pixels=middle)
    assert noisy.dtype == np.float32
    assert np.std(noisy) == pytest.approx(30, rel=0.02)
    assert np.mean(noisy) == pytest.approx(128, abs=0.5)
    assert np.mean(noisy == np.round(noisy)) < 0.01
    assert (degrade("dn50").min(), degrade("dn50").max()) == (0, 255)
    free = degrade("dn50", Protocol(noise="unclipped"))
    assert free.min() < -20
    np.testing.assert_array_equal(free.clip(0, 255), degrade("dn50"))


def test_noise_is_a_function_of_set_image_and_level_alone():
    np.testing.assert_array_equal(degrade("dn30"), degrade("dn30"))
    np.testing.assert_array_equal(degrade("dn30"), degrade("dn30", request=parse_set("Set5@2")))
    others = [
        degrade("dn30", request=parse_set("Set14")),
        degrade("dn30", sample=Sample("bird", None)),
        (degrade("dn50") - CLEAN) * 0.6 + CLEAN,
    ]
    for other in others:
        assert np.abs(other - degrade("dn30")).mean() > 5


def test_noise_is_the_same_on_every_machine():
    noise = degrade("dn30", Protocol(noise="unclipped")) - CLEAN
    expected = [-42.688, -29.376, 0.602, 71.350, -11.308, -1.020, 10.805, 17.734, 16.757, 4.382, -6.861, 41.083]
    np.testing.assert_allclose(noise[:2, :2].ravel(), expected, atol=2e-3)


def test_gray_files_get_one_noise_for_all_channels_the_matlab_way():
    gray = CLEAN[..., :1].repeat(3, 2)
    noisy = degrade("dn30", Protocol(gray="matlab"), gray=True, pixels=gray)
    assert (noisy == noisy[..., :1]).all()
    as_color = degrade("dn30", gray=True, pixels=gray)
    assert (as_color != as_color[..., :1]).any()


def test_a_given_input_is_used_as_it_is(tmp_path):
    low = CLEAN[:13, :15]
    write(tmp_path / "hr.png", CLEAN)
    write(tmp_path / "lr.png", low)
    sample = Sample("hr", tmp_path / "hr.png", tmp_path / "lr.png")
    files = decode(sample, parse_task("sr2"))
    np.testing.assert_array_equal(degraded_pixels(files, SET5, sample, parse_task("sr2"), Protocol()), low)


def test_pixels_survive_the_way_to_the_model_and_back():
    np.testing.assert_array_equal(as_pixels(as_batch(CLEAN)), CLEAN)


def test_outputs_are_clipped_and_rounded_half_up():
    values = torch.tensor([-0.3, 0.0, 0.5 / 256, 2.5 / 255, 3.49 / 255, 1.0, 7.0], dtype=torch.float64)
    pixels = as_pixels(values[None, None, None, :].expand(1, 3, 1, 7))
    assert pixels[0, :, 0].tolist() == [0, 0, 0, 3, 3, 255, 255]


def test_the_protocol_says_what_differs_where_it_matters():
    sr, dr = parse_task("sr2"), parse_task("dr")
    assert {Protocol().label(task) for task in (sr, DN30, dr)} == {"v2"}
    changed = Protocol("matlab", "float", "unclipped")
    assert changed.label(sr) == "v2 gray=matlab bicubic=float"
    assert changed.label(DN30) == "v2 gray=matlab noise=unclipped"
    assert changed.label(dr) == "v2 gray=matlab"
