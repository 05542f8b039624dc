"""What a BasicSR user meets: names in an option file."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import baselines

OPTION_FILE = Path(baselines.__file__).with_name("basicsr_option.yml")
OPTIONS = yaml.safe_load(OPTION_FILE.read_text())


@pytest.fixture(scope="module")
def build_network():
    """BasicSR's, with the suite's names known; importing basicsr takes seconds, so only these tests pay for it."""
    import baselines.basicsr_registry  # noqa: F401

    # isort: split
    from basicsr.archs import build_network

    return build_network


@pytest.mark.parametrize("name", OPTIONS["networks"])
def test_basicsr_builds_each_network_of_the_example(name, build_network):
    network = build_network(OPTIONS["networks"][name])
    patch = torch.rand(1, 3, 48, 48)
    with torch.no_grad():
        assert network(patch[..., :24, :24] if name.startswith("ignn") else patch).shape[-1] in (48, 96)


@pytest.mark.slow
def test_basicsr_trains_a_network_by_its_option_file(tmp_path):
    """BasicSR's own training, two steps of it and a validation, through the command in the option file."""
    rng = np.random.default_rng(0)
    for folder, size in (("HR", 96), ("LR", 48)):
        (tmp_path / folder).mkdir()
        for index in range(2):
            pixels = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{index}.png")
    option = yaml.safe_load(OPTION_FILE.read_text())
    option.update(name="try", num_gpu=0, network_g={"type": "ipt_tiny", "task": "sr2", "patch_size": 48})
    files = {"dataroot_gt": str(tmp_path / "HR"), "dataroot_lq": str(tmp_path / "LR"), "filename_tmpl": "{}"}
    option["datasets"]["train"].update(files, num_worker_per_gpu=0, batch_size_per_gpu=2)
    option["datasets"]["val"].update(files)
    option["train"]["total_iter"] = 2
    option["train"]["optim_g"]["lr"] = 1e-4
    option["val"]["val_freq"] = option["logger"]["save_checkpoint_freq"] = 2
    (tmp_path / "option.yml").write_text(yaml.safe_dump(option))
    command = [sys.executable, "-m", "baselines.basicsr_registry", "-opt", "option.yml"]
    root = str(OPTION_FILE.parents[1])
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}, check=True, capture_output=True)
    saved = torch.load(tmp_path / "experiments" / "try" / "models" / "net_g_latest.pth", weights_only=True)
    assert any(key.startswith("decoder") for key in saved["params"])


def test_basicsr_reads_the_option_file_as_it_is_written(build_network):
    from basicsr.utils.options import ordered_yaml

    assert yaml.load(OPTION_FILE.read_text(), Loader=ordered_yaml()[0]) == OPTIONS


def test_the_chosen_network_is_one_of_the_listed():
    assert OPTIONS["network_g"] in OPTIONS["networks"].values()


def test_ipt_restores_whole_images_in_evaluation_and_patches_alone_in_training(build_network):
    network = build_network({"type": "ipt_tiny", "task": "sr2"})
    image = torch.rand(1, 3, 30, 40)
    with pytest.raises(ValueError, match="24"):
        network.train()(image)
    assert network.eval()(image).shape == (1, 3, 60, 80)


def test_a_registered_variant_is_the_suites_own(build_network):
    torch.manual_seed(0)
    theirs = build_network({"type": "edsr_tiny", "task": "sr2", "num_block": 2})
    torch.manual_seed(0)
    ours = baselines.build("edsr_tiny", "sr2", num_block=2)
    x = torch.rand(1, 3, 9, 9)
    assert torch.equal(theirs(x), ours(x))
