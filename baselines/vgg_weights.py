"""Where IGNN finds VGG19's weights. Importing this module loads no torch."""

import os
from pathlib import Path

VGG_FILE = "vgg19-dcbb9e9d.pth"  # torchvision's, of its ImageNet weights


def vgg_file(weights: str | Path | None) -> Path:
    """The named file, or else torchvision's in torch's cache (as `torch.hub.get_dir`)."""
    cache = Path(os.environ.get("TORCH_HOME", Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"))
    return Path(weights or cache / "hub" / "checkpoints" / VGG_FILE).expanduser()
