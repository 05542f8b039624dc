"""The authors' checkpoints: names and shapes to the letter, strict and safe loading, both ways."""

import re

import pytest
import torch
from safetensors.torch import save_file

from ipt_models import IPT, build
from ipt_models.official import load_official, to_official
from tests.helpers import FIXTURES, raises_naming

SIX_TASKS = ("sr2", "sr3", "sr4", "dn30", "dn50", "dr")
SMALL = {"num_feat": 4, "patch_dim": 3, "patch_size": 12, "num_heads": 12, "depth": 2}


def small(tasks=("sr2",), **kwargs) -> IPT:
    torch.manual_seed(0)
    return IPT(tasks, **(SMALL | kwargs))


def test_names_and_shapes_are_those_of_the_authors_files():
    """The listing shows layers 0 and heads 0 and 5 for all that repeat."""
    with torch.device("meta"):
        ours = {name: tuple(tensor.shape) for name, tensor in to_official(build("ipt_base", SIX_TASKS)).items()}
    listing = (FIXTURES / "official_state_dict.txt").read_text()
    theirs = {}
    for name, shape in re.findall(r"^([\w.]+) \(([\d, ]+)\)", listing, flags=re.MULTILINE):
        theirs[name] = tuple(int(size) for size in shape.split(",") if size.strip())
    assert len(theirs) > 60
    for name, shape in theirs.items():
        assert ours[name] == shape, name
    known = set(theirs)
    for name in ours:
        single = re.sub(r"layers\.\d+", "layers.0", re.sub(r"^head\.\d", "head.0", re.sub(r"^tail\.4", "tail.5", name)))
        assert single in known, name


@pytest.mark.parametrize("tasks", [("sr2",), ("sr4",), ("dn30", "sr3"), SIX_TASKS])
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"position": "none"},
        {"position": "learned_every_layer"},
        {"norm": False},
        {"mlp": False},
        {"num_feat": 3, "patch_dim": 2, "patch_size": 6, "depth": 1, "num_heads": 3},
    ],
)
def test_sizes_are_inferred_and_weights_go_there_and_back_unchanged(tasks, kwargs):
    model = small(tasks, **kwargs)
    state = to_official(model)
    loaded = load_official(state, tasks, position=kwargs.get("position"), num_heads=model.config["num_heads"])
    assert loaded.config == model.config
    assert loaded.tasks == model.tasks
    again = to_official(loaded)
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], state[name]) for name in state)
    x = torch.rand(1, 3, model.patch_size, model.patch_size)
    assert torch.equal(loaded(x, tasks[-1]), model(x, tasks[-1]))


def test_without_any_embedding_the_patch_size_is_taken_from_the_caller():
    model = small(position="none", mlp=False)
    assert load_official(to_official(model)).patch_size == 48
    assert load_official(to_official(model), patch_size=12).patch_size == 12


def test_a_loaded_network_owns_its_weights():
    state = to_official(small())
    loaded = load_official(state)
    state["body.linear_encoding.weight"].zero_()
    assert loaded.embed.weight.count_nonzero() > 0


@pytest.mark.parametrize(("task", "scale"), [("sr2", 2), ("sr3", 3), ("sr4", 4)])
def test_the_task_is_inferred_from_the_scale(task, scale):
    assert load_official(to_official(small((task,)))).tasks == (task,)


@pytest.mark.parametrize(
    ("tasks", "scales"), [(("dr",), [1]), (("sr2", "dn30"), [2, 1]), (SIX_TASKS, [2, 3, 4, 1, 1, 1])]
)
def test_tasks_must_be_named_where_shapes_cannot_tell(tasks, scales):
    with raises_naming(ValueError, scales, "tasks"):
        load_official(to_official(small(tasks)))


def test_tasks_that_do_not_fit_the_heads_are_refused():
    with raises_naming(ValueError, "tasks=['sr3']", [3], [2]):
        load_official(to_official(small()), tasks=("sr3",))
    with raises_naming(ValueError, "tasks=['sr2', 'dr']", [2, 1], [2]):
        load_official(to_official(small()), tasks=("sr2", "dr"))


def test_every_unknown_missing_and_misshapen_key_is_named():
    state = to_official(small())
    state["body.extra"] = torch.zeros(1)
    state["tail.1.1.weight"] = torch.zeros(3, 4, 3, 3)
    del state["body.encoder.layers.1.norm2.bias"]
    state["tail.0.1.bias"] = torch.zeros(4)
    keys = (
        "body.extra (1,)",
        "tail.1.1.weight",
        "body.encoder.layers.1.norm2.bias (36,)",
        "tail.0.1.bias (4,)",
        "(3,)",
    )
    with raises_naming(ValueError, *keys):
        load_official(state)


@pytest.mark.parametrize("key", ["head.0.0.weight", "body.encoder.layers.0.linear1.weight"])
def test_other_state_dicts_are_refused_with_the_missing_keys(key):
    state = to_official(small())
    del state[key]
    with raises_naming(ValueError, key):
        load_official(state)


def test_sizes_that_are_no_squares_are_refused():
    state = to_official(small())
    state["body.query_embed.weight"] = torch.zeros(1, 15 * 36)
    with raises_naming(ValueError, 15):
        load_official(state)
    state["head.0.0.weight"] = torch.zeros(5, 3, 3, 3)
    with raises_naming(ValueError, 36, 5):
        load_official(state)


class TestFiles:
    def test_a_file_loads_as_its_state_dict_does(self, tmp_path):
        model = small()
        torch.save(to_official(model), tmp_path / "official.pt")
        loaded = load_official(tmp_path / "official.pt")
        assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), model.parameters(), strict=True))

    def test_code_in_a_file_is_refused_and_does_not_run(self, tmp_path):
        trace = tmp_path / "trace"

        class Harm:
            def __reduce__(self):
                return trace.touch, ()

        torch.save({"head.0.0.weight": Harm()}, tmp_path / "harm.pt")
        with raises_naming(ValueError, tmp_path / "harm.pt"):
            load_official(tmp_path / "harm.pt")
        assert not trace.exists()

    def test_files_without_a_state_dict_are_refused(self, tmp_path):
        for name, content in (("text.pt", "not a checkpoint"), ("junk.pt", "junk"), ("empty.pt", "")):
            (tmp_path / name).write_text(content)
            with raises_naming(ValueError, tmp_path / name):
                load_official(tmp_path / name)
        torch.save([torch.zeros(1)], tmp_path / "list.pt")
        with raises_naming(ValueError, tmp_path / "list.pt", "list"):
            load_official(tmp_path / "list.pt")
        prefixed = {f"module.{name}": tensor for name, tensor in to_official(small()).items()}
        torch.save({"state_dict": prefixed}, tmp_path / "nested.pt")
        load_official(tmp_path / "nested.pt", num_heads=2)
        torch.save({"weights": prefixed}, tmp_path / "nested.pt")
        with raises_naming(ValueError, tmp_path / "nested.pt", "weights"):
            load_official(tmp_path / "nested.pt")
        with raises_naming(FileNotFoundError, tmp_path / "absent.pt"):
            load_official(tmp_path / "absent.pt")

    def test_a_safetensors_file_with_their_names_loads_too(self, tmp_path):
        state = {name: tensor.contiguous() for name, tensor in to_official(small()).items()}
        save_file(state, tmp_path / "official.safetensors")
        assert load_official(tmp_path / "official.safetensors").tasks == ("sr2",)


def test_encodings_that_the_authors_lack_cannot_be_converted():
    with pytest.raises(ValueError, match="sincos2d"):
        to_official(small(position="sincos2d"))
    with pytest.raises(ValueError, match="relative"):
        load_official(to_official(small()), position="relative")
