"""A small experiment, planned by hand."""

# 3×3 convolutions: from 3 to 8 features, two in one residual block, one after it, to 4 × 8; shuffled, and to 3 at twice the side.
EDSR = {"name": "edsr", "variant": "edsr_tiny", "kwargs": {"num_feat": 8, "num_block": 1}}
EDSR_MACS_A_PIXEL = 9 * (3 * 8 + 2 * 8 * 8 + 8 * 8 + 8 * 32 + 4 * 8 * 3)
CONFIG = {
    "name": "micro",
    "fractions": [0.25, 1.0],
    "more_seeds": {1.0: [1]},
    "data": {"count": 22, "size": 96, "validation": 2},
    "models": [EDSR, {"name": "ipt", "variant": "ipt_tiny", "training": {"budget": {"epochs": 2}}}],
    "training": {"budget": {"steps": 30}, "batch_size": 4, "patch_size": 24, "accelerator": "cpu", "threads": 2},
}
