"""RDN: the authors' outputs, their checkpoints, and recomputation."""

import re
import zlib

import numpy as np
import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

import baselines
from baselines.rdn import RDN, load_official_rdn
from tests.helpers import FIXTURES, raises_naming

SMALL = {"num_feat": 6, "growth": 4, "num_block": 2, "num_conv": 3}


def fixture_value(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Numbers that anyone can draw again, from the parameter's name."""
    scale = 1 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.1
    values = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape) * scale
    return torch.from_numpy(values.astype(np.float32))


def official_state() -> dict[str, torch.Tensor]:
    """All names and shapes of the published config B; the list gives the first block, which the others repeat."""
    shapes = {}
    for line in (FIXTURES / "official_rdn_state_dict.txt").read_text().splitlines():
        if match := re.fullmatch(r"(\S+) \(([\d, ]+)\)", line):
            shapes[match[1]] = tuple(int(side) for side in match[2].split(",") if side.strip())
    first = {key: shape for key, shape in shapes.items() if key.startswith("RDBs.0.")}
    for block in range(1, 16):
        shapes |= {key.replace("RDBs.0.", f"RDBs.{block}."): shape for key, shape in first.items()}
    return {key: fixture_value(key, shape) for key, shape in shapes.items()}


def test_agrees_with_the_authors_network_through_their_checkpoint(tmp_path):
    torch.save(official_state(), tmp_path / "rdn.pt")
    model = load_official_rdn(tmp_path / "rdn.pt")
    assert model.tasks == ("sr2",)
    x = torch.from_numpy(np.random.RandomState(20 * 10000 + 28).randint(0, 256, (1, 3, 20, 28))).float()
    with torch.no_grad():
        y = model(x / 255, "sr2") * 255
    expected = torch.from_numpy(np.load(FIXTURES / "rdn_B_x2.npz")["out_0"])
    assert (y - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("task", ["sr2", "sr3", "sr4"])
def test_sizes_and_scale_follow_from_the_checkpoint(task):
    model = RDN(task, **SMALL, subtract_mean=False)
    loaded = load_official_rdn(model.state_dict())
    x = torch.rand(1, 3, 7, 8)
    assert loaded.tasks == (task,)
    assert torch.equal(loaded(x), model(x))


def test_the_mean_is_subtracted_and_added_back_by_default():
    """A network whose convolutions do nothing gives back what it adds."""
    model = RDN("dn30", **SMALL)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    expected = torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    torch.testing.assert_close(model(torch.rand(1, 3, 4, 4)), expected)
    seen = []
    model.SFENet1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(expected)
    torch.testing.assert_close(seen[0], torch.zeros(1, 3, 4, 4), atol=1e-4, rtol=0)
    assert set(model.state_dict()) == set(RDN("dn30", **SMALL, subtract_mean=False).state_dict())


def test_incomplete_or_foreign_checkpoints_are_refused_with_every_key_named():
    state = RDN("sr2", **SMALL).state_dict()
    state["extra"] = torch.zeros(1)
    del state["GFF.1.bias"]
    state["RDBs.1.LFF.bias"] = torch.zeros(5)
    with raises_naming(ValueError, "extra", "GFF.1.bias", "RDBs.1.LFF.bias (5,)", "(6,)"):
        load_official_rdn(state)
    with raises_naming(ValueError, "'SFENet1.weight'"):
        load_official_rdn({"weight": torch.zeros(1)})


def test_files_that_hold_more_than_tensors_are_not_run(tmp_path):
    (tmp_path / "junk.pt").write_text("junk")
    with raises_naming(ValueError, tmp_path / "junk.pt"):
        load_official_rdn(tmp_path / "junk.pt")
    torch.save(RDN("sr2", **SMALL), tmp_path / "pickled.pt")
    with raises_naming(ValueError, tmp_path / "pickled.pt", "baselines.rdn.RDN"):
        load_official_rdn(tmp_path / "pickled.pt")
    with raises_naming(FileNotFoundError, tmp_path / "nothing.pt"):
        load_official_rdn(tmp_path / "nothing.pt")


def test_bfloat16_autocast_keeps_grey_levels_apart():
    """In bfloat16 numbers near 255 are a whole grey level apart; the result must not be."""
    torch.manual_seed(0)
    model = baselines.build("rdn_tiny", "sr2")
    torch.nn.init.constant_(model.UPNet[-1].bias, 255)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        y = model(torch.rand(1, 3, 16, 16)) * 255
    assert y.dtype == torch.float32
    assert (y - y.bfloat16().float()).abs().max() > 0.1


class LiveMemory(TorchDispatchMode):
    """Knows all memory that operations have made, and how much of it something still holds."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self.made[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        return result

    def held(self) -> int:
        return sum(size for reference, size in self.made.values() if not reference.expired())


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_gradient_checkpointing_changes_no_gradient_and_keeps_less_than_half(precision, memory_format):
    torch.manual_seed(0)
    model = baselines.build("rdn_tiny", "sr2", num_block=8, num_conv=6).to(memory_format=memory_format)
    x = torch.rand(2, 3, 12, 12).to(memory_format=memory_format)
    held, gradients = [], []
    for checkpointing in (False, True):
        model.gradient_checkpointing = checkpointing
        model.zero_grad()
        with LiveMemory() as memory, torch.autocast("cpu", precision, enabled=precision != torch.float32):
            loss = model(x).square().mean()
            held.append(memory.held())
        loss.backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    assert held[1] < held[0] / 2
    for gradient, expected in zip(*gradients, strict=True):
        assert torch.equal(gradient, expected)
