"""Hugging Face's layout, on a local folder and offline: what is saved is what is read, and the card says where it comes from."""

import json

import pytest
import torch

import ipt_models
from ipt_models import IPT, weights_file
from ipt_models.__main__ import main
from ipt_models.weights_file import weights_sha256
from tests.helpers import assert_names

SMALL = {"num_feat": 2, "patch_dim": 2, "patch_size": 8, "num_heads": 2, "depth": 1, "position": "sincos2d"}
PROVENANCE = {
    "run": "ipt-20-seed-3",
    "experiment": "demo",
    "fraction": 0.2,
    "seed": 3,
    "commit": "0123abc",
    "weights_sha256": "f" * 64,
    "training": {"steps": 700, "images": 60},
    "config": {"training": {"learning_rate": 5e-4}, "contrastive": None},
}
SCORES = """experiment,model,task,dataset,image,psnr_y,ssim_y,psnr_rgb,setting
demo,ipt,sr2,Set5,a,30.0,0.9,,plain
demo,ipt,sr2,Set5,b,32.0,0.8,,plain
demo,ipt,sr2,Set5,black,inf,1.0,,plain
demo,ipt,sr2,Set5,a,30.5,0.9,,averaged
"""


@pytest.fixture
def model():
    torch.manual_seed(0)
    return IPT(("sr2", "dn30"), **SMALL).eval()


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_a_saved_model_comes_back_the_same(tmp_path, model):
    model.save_pretrained(tmp_path / "shared")
    assert {path.name for path in (tmp_path / "shared").iterdir()} == {"model.safetensors", "config.json", "README.md"}
    x = torch.rand(1, 3, 8, 8)
    loaded = IPT.from_pretrained(tmp_path / "shared")
    assert not loaded.training
    assert loaded.config == model.config
    assert torch.equal(loaded(x, "dn30"), model(x, "dn30"))
    assert torch.equal(ipt_models.load(tmp_path / "shared" / "model.safetensors")(x, "sr2"), model(x, "sr2"))
    assert json.loads((tmp_path / "shared" / "config.json").read_text()) == {"tasks": ["sr2", "dn30"], **model.config}


def test_missing_weights_are_an_error(tmp_path, model):
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "depth": 2}))
    with pytest.raises(RuntimeError, match=r"encoder\.1"):
        IPT.from_pretrained(tmp_path)


def test_the_card_is_made_from_provenance_and_scores(tmp_path, model, capsys):
    """Through the command, which finds both beside the checkpoint."""
    run = tmp_path / "run"
    ipt_models.save(model, run / "model.safetensors", {"model": "ipt"})
    (run / "provenance.json").write_text(json.dumps(PROVENANCE))
    (run / "metrics.csv").write_text(SCORES)
    assert main(["share", str(run / "model.safetensors"), str(tmp_path / "shared")]) == 0
    card = (tmp_path / "shared" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: ipt_models\n")
    assert "# ipt-20-seed-3" in card
    assert "- super-resolution\n- denoising\n" in card
    assert "| sr2 | Set5 | plain | 2 | 31.00 | 0.8500 |" in card, "without the image that is restored exactly"
    assert "| sr2 | Set5 | averaged | 1 | 30.50 | 0.9000 |" in card
    for fact in ("steps: 700", "training images: 60", "seed: 3", "commit: 0123abc", "learning rate: 0.0005"):
        assert fact in card
    assert "contrastive loss" not in card
    assert 'from_pretrained("path/to/this/folder")' in card
    assert f"- `weights_sha256`: {weights_sha256(tmp_path / 'shared' / 'model.safetensors')}\n" in card
    assert PROVENANCE["weights_sha256"] not in card, "that file has another header"


def test_other_networks_are_shared_as_they_are(tmp_path, capsys):
    weights_file.write({}, tmp_path / "x.safetensors", {"variant": "edsr_tiny", "kwargs": {}, "tasks": ["sr2"]})
    assert main(["share", str(tmp_path / "x.safetensors"), str(tmp_path / "shared")]) == 2
    assert_names(capsys.readouterr().err, tmp_path / "x.safetensors", "edsr_tiny", "share is for IPT", "as it is")
    assert not (tmp_path / "shared").exists()


def test_without_provenance_the_card_says_so(tmp_path, model):
    model.save_pretrained(tmp_path)
    assert "Not stated." in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_push_sends_the_same_files(tmp_path, model, monkeypatch):
    """No network here: the library's client is replaced, what it is given is looked at."""
    sent = {}

    class Client:
        def __init__(self, *args, **kwargs):
            pass

        def create_repo(self, repo_id, **kwargs):
            return type("Repo", (), {"repo_id": repo_id})

        def upload_folder(self, folder_path, **kwargs):
            sent.update({path.name: path.read_bytes() for path in folder_path.iterdir()})

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Client)
    model.push_to_hub("someone/ipt", model_card_kwargs={"name": "mine"})
    assert b'from_pretrained("someone/ipt")' in sent["README.md"]
    model.save_pretrained(tmp_path, model_card_kwargs={"name": "mine", "source": "someone/ipt"})
    assert sent == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
