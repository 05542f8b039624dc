"""Other places for the rows of train.csv."""

import sys

import numpy as np
import pandas as pd
import pytest

from tests.helpers import make_run, raises_naming
from workflows.training.loggers import LoggerError


def test_rows_go_to_tensorboard_as_well(train):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = train(make_run(loggers=["tensorboard"]))
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    log = pd.read_csv(folder / "train.csv")
    found = {event.step: event.value for event in events.Scalars("loss")}
    assert list(found) == log.step.tolist()
    np.testing.assert_allclose(list(found.values()), log.loss, rtol=1e-6)


def test_rows_go_to_weights_and_biases_offline(train, monkeypatch):
    pytest.importorskip("wandb", reason="W&B is an optional extra: uv pip install -c requirements.lock 'wandb<0.24'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = train(make_run(loggers=["wandb"]))
    (log,) = folder.glob("wandb/offline-run-*/*.wandb")
    data = log.read_bytes()
    assert b"validation_psnr" in data
    assert b"gradient_norm" in data


def test_missing_logger_is_named_with_what_would_be_right(train, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with raises_naming(LoggerError, "wandb", "-c requirements.lock 'wandb"):
        train(make_run(loggers=["wandb"]))
