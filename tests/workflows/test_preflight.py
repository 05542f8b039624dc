"""Before the first job: what a config names is on disk, or one message says what is missing and what would be right."""

import pytest

from tests.helpers import raises_naming, texture
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
