"""Trained IPTs as safetensors files whose header says how to build the network again.

Header metadata: `variant`, `kwargs` (JSON, arguments of `build`) and `tasks` (JSON); more keys may stand beside them.
"""

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialize

from ipt_models.files import replacing
from ipt_models.network import IPT
from ipt_models.variants import VARIANTS, build

CONVERT = "for a checkpoint of the IPT authors see python -m ipt_models convert"


def save(model: IPT, path: str | PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Write a network; the file appears whole or not at all.

    Args:
        metadata: more keys for the header; `variant`, `kwargs` and `tasks` are written in any case.
    """
    sizes = {name: kwargs for name, kwargs in VARIANTS.items() if kwargs.items() <= model.config.items()}
    header = {
        **(metadata or {}),
        "variant": next(iter(sizes), "ipt_base"),  # kwargs are complete, so that the variant is but a label
        "kwargs": json.dumps(model.config),
        "tasks": json.dumps(model.tasks),
    }
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(serialize({name: t.contiguous() for name, t in model.state_dict().items()}, header))


def load(path: str | PathLike[str]) -> IPT:
    """Read a network, in evaluation mode.

    Raises:
        FileNotFoundError: no such file.
        ValueError: for a file that is not a whole safetensors file, does not say how to build an IPT, or does not hold
            exactly its weights.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
        weights = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file ({error}); {CONVERT}") from None
    missing = [key for key in ("variant", "kwargs", "tasks") if key not in header]
    if missing:
        raise ValueError(
            f"{path} does not say how to build its network: no {', '.join(missing)} in its header; {CONVERT}"
        )
    try:
        model = build(header["variant"], json.loads(header["tasks"]), **json.loads(header["kwargs"]))
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no IPT of this project: {error}") from None
    return model.eval()
