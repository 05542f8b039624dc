"""What a BasicSR user meets: names in an option file."""

from pathlib import Path

import pytest
import torch
import yaml

import baselines
import baselines.basicsr_registry

# isort: split
from basicsr.archs import build_network
from basicsr.utils.options import ordered_yaml

OPTION_FILE = Path(baselines.basicsr_registry.__file__).with_name("basicsr_option.yml")
OPTIONS = yaml.load(OPTION_FILE.read_text(), Loader=ordered_yaml()[0])  # as BasicSR reads it


@pytest.mark.parametrize("name", OPTIONS["networks"])
def test_basicsr_builds_each_network_of_the_example(name):
    network = build_network(OPTIONS["networks"][name])
    patch = torch.rand(1, 3, 48, 48)
    with torch.no_grad():
        assert network(patch[..., :24, :24] if name.startswith("ignn") else patch).shape[-1] in (48, 96)


def test_the_chosen_network_is_one_of_the_listed():
    assert OPTIONS["network_g"] in OPTIONS["networks"].values()


def test_ipt_restores_whole_images_in_evaluation_and_patches_alone_in_training():
    network = build_network({"type": "ipt_tiny", "task": "sr2"})
    image = torch.rand(1, 3, 30, 40)
    with pytest.raises(ValueError, match="24"):
        network.train()(image)
    assert network.eval()(image).shape == (1, 3, 60, 80)


def test_a_registered_variant_is_the_suites_own():
    torch.manual_seed(0)
    theirs = build_network({"type": "edsr_tiny", "task": "sr2", "num_block": 2})
    torch.manual_seed(0)
    ours = baselines.build("edsr_tiny", "sr2", num_block=2)
    x = torch.rand(1, 3, 9, 9)
    assert torch.equal(theirs(x), ours(x))
