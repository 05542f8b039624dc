"""Which file of another program is which image's output."""

from pathlib import Path

import pytest

from ipt_models.tasks import parse_task
from workflows.evaluation.outputs import matches


@pytest.mark.parametrize(
    ("files", "images", "expected"),
    [
        # Exactly the name, before anything appended to it.
        ("baby.png baby_2.png", "baby", {"baby": "baby.png"}),
        # What programs append.
        ("baby_x2_SR.png birdx2.png head-out.png", "baby bird head", {"baby": 0, "bird": 1, "head": 2}),
        ("img_001_SRF_2_SRCNN.png img_002_SRF_3_SRCNN.png", "img_001 img_002", {"img_001": 0}),
        # The longest name that a file begins with.
        ("house_2_SR.png", "house house_2", {"house_2": 0}),
        ("house_2.png", "house house_2", {"house_2": 0}),
        ("img_12x2.png img_1x2.png", "img_1 img_12", {"img_12": 0, "img_1": 1}),
        ("img_12x2.png", "img_1", {}),
        # Other scales, targets and inputs.
        ("baby_x2.png baby_x3.png baby_4x.png", "baby", {"baby": 0}),
        ("babyx3.png bird_3x_SR.png", "baby bird", {}),
        ("baby_HR.png baby_GT.png baby_lr_x2.png baby_SR.png", "baby", {"baby": 3}),
        # Named as the exported input, unless it may be that input, or another fits.
        ("baby_LR.png bird_LR.png bird_SR.png", "baby bird", {"baby": 0, "bird": 2}),
        ("baby_LR.png baby_HR.png", "baby", {}),
        ("baby_LR.png", "baby baby_LR", {"baby_LR": 0}),
        # Several that fit stay several.
        ("baby_SR.png baby_out.png", "baby", {"baby": "baby_SR.png baby_out.png"}),
        ("baby.png baby.jpg", "baby", {"baby": "baby.png baby.jpg"}),
    ],
)
def test_a_file_is_the_output_of_one_image_at_most(files, images, expected):
    names = files.split()
    found = matches([Path(name) for name in names], set(images.split()), parse_task("sr2"))
    expected = {image: names[file] if isinstance(file, int) else file for image, file in expected.items()}
    assert {image: " ".join(map(str, files)) for image, files in found.items()} == expected
