"""A training that takes a second: a few small images, tiny networks."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.helpers import train_quickly
from workflows import provenance
from workflows.config.runs import Run


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> SimpleNamespace:
    """Eight smooth random images on disk, six to train on and two held out, with their tables."""
    root = tmp_path_factory.mktemp("images")
    rows = []
    for i in range(8):
        coarse = np.random.default_rng(i).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        path = f"train/c{i % 2}/{i}.png"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC).save(root / path)
        rows.append(
            {
                "path": path,
                "class": f"c{i % 2}",
                "width": 48,
                "height": 48,
                "bytes": 1,
                "sha256": provenance.sha256(root / path),
            }
        )
    table = pd.DataFrame(rows)
    table[:6].to_csv(root / "fraction.csv", index=False)
    table[6:].to_csv(root / "validation.csv", index=False)
    return SimpleNamespace(root=root, fraction=root / "fraction.csv", validation=root / "validation.csv")


@pytest.fixture
def train(images, tmp_path):
    """Train a run into a folder of its own and return it."""

    def run_training(run: Run, name: str = "out", resume: str = "resume", init: Path | None = None) -> Path:
        tables = (images.root, images.fraction, images.validation)
        train_quickly(run, *tables, tmp_path / name, tmp_path / resume, init)
        return tmp_path / name

    return run_training


@pytest.fixture(scope="session")
def trained(images, tmp_path_factory):
    """The folder of a run that is trained once for all tests that only read it."""
    known = {}

    def folder_of(run: Run) -> Path:
        key = run.model_dump_json()
        if key not in known:
            out = tmp_path_factory.mktemp("trained")
            train_quickly(run, images.root, images.fraction, images.validation, out / "out", out / "resume")
            known[key] = out / "out"
        return known[key]

    return folder_of
