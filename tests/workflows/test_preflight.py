"""Before the first job: what a config names is on disk, or one message says what is missing and what would be right."""

import pytest

from tests.helpers import assert_names, raises_naming, texture
from tests.workflows.config.test_grid import changed
from workflows import preflight
from workflows.config.grid import parse
from workflows.config.messages import ConfigError
from workflows.evaluation.image_files import write


def check(**changes):
    preflight.check(parse(changed(**changes)))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"data": {"source": "image_folder", "root": "no/such/folder"}},
            ["data.root", "'no/such/folder'"],
        ),
        (
            {"finetune": {"data": {"source": "image_folder", "root": "no/such/folder"}}},
            ["finetune.data.root", "'no/such/folder'"],
        ),
        ({"evaluation__sets": ["Set5"]}, ["evaluation", "Set5", "data_root"]),
        (
            {
                "report": {
                    "comparisons": [{"dataset": "photos", "image": "chelsea", "task": "sr2", "crop": [400, 0, 100, 9]}]
                }
            },
            ["report.comparisons", "crop [400, 0, 100, 9]", "'chelsea'", "451x300"],
        ),
        (
            {"fractions": [0.2, 1.0], "data": {"count": 10, "validation": 8}},
            ["fractions", 0.2, "'ipt-contrastive'"],
        ),
        (
            {"models": [{"name": "ignn", "variant": "ignn", "kwargs": {"vgg_weights": "no/vgg.pth"}}]},
            ["kwargs.vgg_weights", "'ignn'", "no/vgg.pth"],
        ),
    ],
)
def test_what_is_missing_is_named_with_its_key(changes, named):
    with raises_naming(ConfigError, *named):
        check(**changes)


@pytest.fixture
def pairs(tmp_path):
    """Two pairs of equal size, and a function that checks a config that trains on them."""
    for name in ("rainy/a", "rainy/b", "clean/a", "clean/b"):
        write(tmp_path / f"{name}.png", texture(0, 32, 32))
        write(tmp_path / "scored" / f"{name}.png", texture(1, 32, 32))
    model = {"models": [{"name": "edsr", "variant": "edsr_tiny"}], "tasks": ["dr"]}

    def checked(inputs="rainy", targets="clean", **changes):
        data = {"source": "paired_folders", "root": str(tmp_path), "inputs": inputs, "targets": targets}
        sets = [f"mine={tmp_path / 'scored/clean'},{tmp_path / 'scored/rainy'}"]
        check(**model | {"data": data, "evaluation__sets": sets} | changes)

    return checked


def test_pairs_of_training_images_are_looked_for_before_the_first_job(pairs, tmp_path):
    pairs()
    with raises_naming(ConfigError, "data", "inputs", "'rain'"):
        pairs("rain")
    for outside in (str(tmp_path / "rainy"), "../rainy"):
        with raises_naming(ConfigError, "data", f"inputs {outside!r}", "relative", tmp_path):
            pairs(outside)
    (tmp_path / "more").mkdir()
    with raises_naming(ConfigError, "data", "targets", "'more'"):
        pairs(targets="more")
    write(tmp_path / "more/a.png", texture(0, 32, 32))
    with raises_naming(ConfigError, "data", "rainy/b.png", "partner"):
        pairs(targets="more")


def test_training_on_images_that_are_scored_is_refused(pairs, tmp_path):
    with raises_naming(ConfigError, "evaluation.sets", "mine", "a.png", "clean/a.png", "data.root", "1 more"):
        pairs(evaluation__sets=[f"mine={tmp_path / 'clean'},{tmp_path / 'rainy'}"])
    everything = {"source": "image_folder", "root": str(tmp_path / "scored")}
    tuned = {"task": "sr2", "data": everything}
    sets = ["photos@2", f"mine={tmp_path / 'scored/rainy'}"]
    with raises_naming(ConfigError, "evaluation.sets", "mine", "finetune.data.root"):
        check(finetune=tuned, evaluation__sets=sets)
    check(finetune=tuned, evaluation__sets=sets[:1])


def test_an_empty_training_folder_is_refused(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    with raises_naming(ConfigError, "data.root", repr(str(tmp_path))):
        check(data={"source": "image_folder", "root": str(tmp_path)})
    write(tmp_path / "a/b/c.png", texture(0, 8, 8))
    check(data={"source": "image_folder", "root": str(tmp_path)})


def test_pairs_of_the_wrong_scale_take_one_line_with_their_number(pairs):
    with raises_naming(ConfigError, "a.png", "32x32", 2, "`tasks`") as error:
        pairs(tasks=["sr2"])
    assert "b.png" not in str(error.value)


def test_cuda_is_refused_where_cuda_shows_too_few_gpus_for_what_is_left_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert preflight.lacking_gpus(parse(changed())) == []
    needy = parse(changed(training__accelerator="cuda", training__devices=2, evaluation__accelerator="cuda"))
    training, evaluation = preflight.lacking_gpus(needy)
    assert_names(training, "training.accelerator", "2 GPUs")
    assert_names(evaluation, "evaluation.accelerator", "1 GPU")
    assert preflight.lacking_gpus(needy, scores=False) == [training]
    for name in needy.trainings():
        (tmp_path / "results/small/runs" / name).mkdir(parents=True)
        (tmp_path / "results/small/runs" / name / "provenance.json").touch()
    assert preflight.lacking_gpus(needy) == [evaluation]


def test_a_method_needs_a_checkpoint_and_arguments_that_its_class_takes(tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\nclass Net(nn.Module):\n    def __init__(self, scale, dim=8): super().__init__()\n"
        "class Bare(nn.Module):\n    def __init__(self, scale, dim): super().__init__()\n"
    )
    (tmp_path / "README.md").write_text("# A network")
    (tmp_path / "net.pth").write_bytes(b"PK\x03\x04")
    for number, start in enumerate((b"PK\x03\x04", b"\x80\x02", b"\x08\0\0\0\0\0\0\0{}")):
        (tmp_path / f"{number}.pth").write_bytes(start)
    names = ("README.md", "0.pth", "1.pth", "2.pth")
    methods = [{"name": name, "checkpoint": str(tmp_path / name)} for name in names]
    with raises_naming(ConfigError, "evaluation.methods", "'README.md'") as error:
        check(evaluation__methods=methods)
    assert "0.pth" not in str(error.value)
    own = {"name": "own", "checkpoint": str(tmp_path / "net.pth"), "network": f"{tmp_path / 'net.py'}:Net"}
    check(evaluation__methods=[own | {"kwargs": {"dim": 4}}])
    with raises_naming(ConfigError, "evaluation.methods", "'own'", "dmi", "dim"):
        check(evaluation__methods=[own | {"kwargs": {"dmi": 4}}])
    with raises_naming(ConfigError, "evaluation.methods", "'own'", "needs dim"):
        check(evaluation__methods=[own | {"network": f"{tmp_path / 'net.py'}:Bare"}])


def test_methods_need_their_checkpoint_or_all_their_outputs(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / "set" / f"{name}.png", texture(0, 16, 16))
    write(tmp_path / "out" / "a_x2.png", texture(0, 16, 16))
    methods = [
        {"name": "gone", "checkpoint": str(tmp_path / "gone.pth")},
        {"name": "theirs", "restored": str(tmp_path / "out")},
        {"name": "nowhere", "restored": str(tmp_path / "nowhere")},
        {"name": "own", "checkpoint": str(tmp_path / "out/a_x2.png"), "network": "gone.py:Net"},
    ]
    scored = {"evaluation__sets": ["mine=set"], "evaluation__data_root": str(tmp_path)}
    named = ("'gone'", "'theirs'", "'nowhere'", tmp_path / "gone.pth", tmp_path / "out/b", tmp_path / "nowhere")
    named += ("'own'", "gone.py:Net")
    with raises_naming(ConfigError, *named):
        check(**scored, evaluation__methods=methods)
    write(tmp_path / "out" / "b.png", texture(0, 16, 16))
    check(**scored, evaluation__methods=methods[1:2])


def test_a_missing_set_is_no_mistake_where_it_may_be_fetched(tmp_path):
    wanted = {"evaluation__sets": ["Set5"], "evaluation__data_root": str(tmp_path / "sets")}
    right = (f"download --sets Set5 --data-root {tmp_path / 'sets'}", "`evaluation.download: true`")
    with raises_naming(ConfigError, "evaluation.sets", "evaluation.data_root", "Set5", *right):
        check(**wanted)
    check(**wanted, evaluation__download=True)


def test_a_file_as_training_folder_is_reported_with_what_would_be_right(tmp_path):
    (tmp_path / "train.tar").write_bytes(b"")
    with raises_naming(ConfigError, "data.root", f"'{tmp_path / 'train.tar'}'"):
        check(data={"source": "image_folder", "root": str(tmp_path / "train.tar")})


def test_an_image_that_its_set_does_not_have_is_refused_with_the_nearest_name():
    with raises_naming(ConfigError, "report.comparisons", "photos", "'chelsy'", "'chelsea'", "astronaut"):
        check(report={"comparisons": [{"dataset": "photos", "image": "chelsy", "task": "sr2"}]})
