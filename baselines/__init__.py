"""The networks that IPT is compared with, with one interface. Importing this package imports neither torch nor basicsr."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "bicubic": ["bicubic_resize"],
        "factory": ["build"],
        "rdn": ["load_official_rdn"],
        "registry": ["UNTRAINED", "VARIANTS"],
        "whole_image": ["restore"],
    },
)
