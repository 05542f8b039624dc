"""The baselines and IPT in basicsr's `ARCH_REGISTRY`, for people who train with BasicSR.

Importing this module registers every trained variant by its name (`type: rdn_b` with `task: sr2` in an option file, and
any argument of the network beside it), and the classes `IPT`, `RDN` and `IGNN`; EDSR and SwinIR as classes are basicsr's
own. `basicsr_option.yml` is an example, and

    python -m baselines.basicsr_registry -opt baselines/basicsr_option.yml

is BasicSR's own training, with these names known and the current folder as its root.
"""

from pathlib import Path
from typing import Any

import baselines.basicsr_alias  # noqa: F401

# isort: split
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from baselines.factory import build
from baselines.registry import NETWORKS, UNTRAINED, VARIANTS
from ipt_models.network import IPT as Network
from ipt_models.variants import VARIANTS as IPT_VARIANTS
from ipt_models.windows import restore


@ARCH_REGISTRY.register()
class IPT(Network):
    """IPT for one task, called as BasicSR calls a network: `net(x)`, patches in training, whole images in validation.

    Args:
        task: for example `sr2`.
        **kwargs: see `ipt_models.IPT`.
    """

    def __init__(self, task: str, **kwargs: Any) -> None:
        super().__init__(tasks=(task,), **kwargs)

    def forward(
        self, x: Tensor, task: str | None = None, return_features: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """As IPT's; in evaluation mode, an image of any other size than a patch is restored window by window."""
        if self.training or x.shape[-2:] == (self.patch_size, self.patch_size):
            return super().forward(x, task, return_features)
        return restore(self, x, task)


def _register(variant: str) -> None:
    def build_variant(task: str, **kwargs: Any) -> nn.Module:
        return (
            IPT(task, **(IPT_VARIANTS[variant] | kwargs)) if variant in IPT_VARIANTS else build(variant, task, **kwargs)
        )

    build_variant.__name__ = variant
    ARCH_REGISTRY.register(build_variant)


for network in NETWORKS:
    bases = network.load_class().__mro__
    if network.trained and not any(base.__module__.startswith("basicsr.") for base in bases):
        ARCH_REGISTRY.register(network.load_class())  # of the others basicsr has the class itself
for variant in (*IPT_VARIANTS, *VARIANTS):
    if variant not in UNTRAINED:
        _register(variant)

if __name__ == "__main__":
    from basicsr.train import train_pipeline

    train_pipeline(str(Path.cwd()))
