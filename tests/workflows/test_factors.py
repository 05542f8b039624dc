"""What decides the weights of a run."""

import pytest

from workflows.config.grid import parse
from workflows.factors import family, pair_key, training_settings


@pytest.mark.parametrize("own", ["ipt_rivals/net.py:Net", "rdn_mine.py:Net", "ipt-free-cnn"])
def test_the_name_of_a_users_network_makes_it_no_relative_of_the_suites(own):
    assert family(own) == own
    assert [family(name) for name in ("ipt_small", "edsr_baseline", "rdn_a")] == ["ipt", "edsr", "rdn"]


def test_where_images_lie_decides_no_weights():
    models = [{"name": "ipt", "variant": "ipt_tiny"}]
    models += [{"name": "ipt-contrastive", "variant": "ipt_tiny", "contrastive": {"weight": 0.1}}]
    config = {"name": "micro", "models": models, "training": {"patch_size": 24}}
    here, there = (
        parse(config | {"data": {"source": "image_folder", "root": root}}).runs() for root in ("here", "there")
    )
    plain, contrastive = here["ipt-100-seed-0"], there["ipt-contrastive-100-seed-0"]
    assert plain.digest == there["ipt-100-seed-0"].digest
    assert pair_key(plain.model_dump(mode="json")) == pair_key(contrastive.model_dump(mode="json"))


def test_a_finetuned_model_is_a_twin_by_its_first_stages_contrastive_loss():
    config = {
        "name": "micro",
        "fractions": [0, 1.0],
        "models": [
            {"name": "ipt", "variant": "ipt_tiny"},
            {"name": "ipt-contrastive", "variant": "ipt_tiny", "contrastive": {"weight": 0.1}},
            {"name": "ipt-slow", "variant": "ipt_tiny", "training": {"warmup_steps": 7}},
        ],
        "training": {"patch_size": 24, "learning_rate": 0.01},
        "finetune": {"data": {"count": 9}, "training": {"learning_rate": 0.001, "warmup_steps": 0}},
    }
    runs = {name: run.model_dump(mode="json") for name, run in parse(config).runs().items()}
    plain, contrastive = runs["ipt-ft-100-seed-0"], runs["ipt-contrastive-ft-100-seed-0"]
    assert pair_key(plain) == pair_key(contrastive) != pair_key(runs["ipt-100-seed-0"])
    assert pair_key(plain) != pair_key(runs["ipt-ft-0-seed-0"])
    assert training_settings(contrastive)["contrastive.weight"] == 0.1
    mine = training_settings(plain)
    assert (mine["training.learning_rate"], mine["pretrained.training.learning_rate"]) == (0.001, 0.01)
    # Alike but for one setting of the first stage: an ablation of it.
    slow = training_settings(runs["ipt-slow-ft-100-seed-0"])
    assert {key for key in mine | slow if mine.get(key) != slow.get(key)} == {"pretrained.training.warmup_steps"}
