"""Measured speed of training."""

import pandas as pd
import pytest

from workflows.config.grid import parse
from workflows.planning import throughput

# 3×3 convolutions: from 3 to 8 features, two in one residual block, one after it, to 4 × 8; shuffled, and to 3 at twice the side.
EDSR = {"name": "edsr", "variant": "edsr_tiny", "kwargs": {"num_feat": 8, "num_block": 1}}
CONFIG = {
    "name": "micro",
    "fractions": [0.25, 1.0],
    "more_seeds": {1.0: [1]},
    "data": {"count": 22, "size": 96, "validation": 2},
    "models": [EDSR, {"name": "ipt", "variant": "ipt_tiny", "training": {"budget": {"epochs": 2}}}],
    "training": {"budget": {"steps": 30}, "batch_size": 4, "patch_size": 24, "accelerator": "cpu", "threads": 2},
}


def test_measurement_takes_as_many_steps_as_fill_the_time(monkeypatch, tmp_path):
    run, steps = parse(CONFIG).runs()["edsr-100-seed-0"], []
    monkeypatch.setattr(throughput, "_train", lambda run, n, *rest: steps.append(n) or 32.0)
    images = (
        tmp_path,
        pd.DataFrame({"path": ["a.png"], "class": "", "width": 9, "height": 9, "bytes": 1, "sha256": "0"}),
    )
    assert throughput.measure(run, 20, images) == 32
    assert steps == [6, 20 * 32 / 4]


@pytest.mark.slow
def test_speed_is_measured_by_the_training_command():
    run = parse({**CONFIG, "training": {**CONFIG["training"], "patch_size": 12}, "models": [EDSR]}).runs()[
        "edsr-100-seed-0"
    ]
    assert throughput.measure(run, seconds=0.2) > 0
    broken = run.model_copy(update={"kwargs": {"num_feat": 0}})
    with pytest.raises(throughput.SpeedError, match="measuring edsr failed"):
        throughput.measure(broken, seconds=0.2)
