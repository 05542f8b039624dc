"""The Image Processing Transformer (IPT, CVPR 2021): network, contrastive loss, the authors' checkpoints, inference.

Names are imported when they are first used, so that listing variants or parsing a task's name loads no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "checkpoints": ["load", "save"],
        "contrastive": ["contrastive_loss"],
        "network": ["IPT"],
        "official": ["load_official", "to_official"],
        "tasks": ["Task", "parse_task"],
        "variants": ["VARIANTS", "build"],
        "windows": ["restore"],
    },
)
