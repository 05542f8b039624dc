"""Checkpoints of other projects, recognised by the names and shapes of their weights. Only tensors are read, never code.

Supported: the IPT authors' files, EDSR and RDN of the EDSR authors' PyTorch code, EDSR of BasicSR, and every architecture of
`spandrel` (RCAN, SwinIR, HAT, DAT, ATD, DRUNet, DnCNN, SCUNet, Uformer, NAFNet, …) with RGB input and output. IPT, EDSR and
RDN become this project's networks; the others are called through spandrel. Weights of a class of the user's need its name.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import baselines
from baselines.rdn import load_official_rdn
from baselines.single_task import SingleTask
from ipt_models.official import infer_scales, load_official
from ipt_models.tasks import parse_task
from ipt_models.tensors import check_fit, read_tensors

SIX_TASKS = ("sr2", "sr3", "sr4", "dn30", "dn50", "dr")  # the order of the heads in the IPT authors' six-task files
LARGE_EDSR = 256  # with this many features or more the authors scale residuals by 0.1, which the weights do not show

# Names of the EDSR authors' PyTorch code -> those of BasicSR.
EDSR_NAMES = [
    (r"head\.0\.(weight|bias)", r"conv_first.\1"),
    (r"body\.(\d+)\.body\.0\.(weight|bias)", r"body.\1.conv1.\2"),
    (r"body\.(\d+)\.body\.2\.(weight|bias)", r"body.\1.conv2.\2"),
    (r"body\.\d+\.(weight|bias)", r"conv_after_body.\1"),
    (r"tail\.0\.(\d)\.(weight|bias)", r"upsample.\1.\2"),
    (r"tail\.1\.(weight|bias)", r"conv_last.\1"),
]


class SpandrelNetwork(SingleTask):
    """A network that spandrel recognised, with this project's call. It restores whole images, because its receptive field is
    not known.

    Args:
        descriptor: spandrel's.
        tasks: the tasks that it is scored on, all of its scale.
    """

    receptive_field = None
    tile_alignment = 32  # windows of 8 and 16, and halvings up to five times

    def __init__(self, descriptor: Any, tasks: Sequence[str]) -> None:
        super().__init__()
        self.set_task(tasks[0])
        self.tasks = tuple(tasks)
        self.network: nn.Module = descriptor.model
        self.descriptor = descriptor
        self.config = {}

    def forward(self, x: Tensor, task: str | None = None) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 3, s*H, s*W), clipped to [0, 1]. Sides are padded as the architecture needs."""
        self.check_task(task)
        if (
            self.descriptor.architecture.id == "DRUNet"
        ):  # its fourth channel is the noise level, which spandrel sets to 15
            return torch.cat([self._with_noise_level(image, task or self.tasks[0]) for image in x.split(1)])
        return torch.cat([self.descriptor(image.clone()) for image in x.split(1)])  # RCAN changes its input in place

    def _with_noise_level(self, x: Tensor, task: str) -> Tensor:
        height, width = x.shape[-2:]
        x = nn.functional.pad(x, (0, -width % 8, 0, -height % 8), mode="replicate")
        level = x.new_full((1, 1, *x.shape[-2:]), parse_task(task).sigma / 255)
        return self.network(torch.cat([x, level], dim=1))[..., :height, :width].clamp(0, 1)


def load(
    path: Path | str,
    tasks: Sequence[str] | None = None,
    own: str | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> tuple[nn.Module, dict[str, Any]]:
    """A network with the weights of another project's file, and its description.

    Args:
        path: a file of PyTorch or a safetensors file.
        tasks: the tasks that it restores. Optional for super-resolution, which the scale implies; a network of scale 1 may
            denoise or derain. For a file of several heads, tasks are in the order of the heads.
        own: the user's class that the weights are for (see `baselines.own`); None recognises the network.
        kwargs: its arguments.

    Returns:
        The network in evaluation mode, and `variant`, `kwargs`, `tasks`, `model` (the file's name) and `format` (the project
        that wrote it).

    Raises:
        FileNotFoundError: no such file.
        ValueError: in one message, if it is not recognised or damaged, or its tasks must be given.
    """
    path = Path(path)
    state = read_tensors(path)
    try:
        network, variant, origin = (
            _recognise(state, tasks) if own is None else _load_own(state, tasks, own, kwargs or {})
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    facts = {"variant": variant, "kwargs": network.config, "tasks": list(network.tasks)}
    return network.eval(), {**facts, "model": path.stem, "format": origin}


def _recognise(state: dict[str, Tensor], tasks: Sequence[str] | None) -> tuple[Any, str, str]:
    """The network, its architecture's name, and the project that wrote the file."""
    if "body.encoder.layers.0.linear1.weight" in state:
        return _load_ipt(state, tasks), "ipt_base", "IPT authors"
    if "SFENet1.weight" in state:
        network = load_official_rdn(state)
        _check_tasks(tasks, network.scale)
        return network, "rdn_b", "EDSR-PyTorch"
    if "head.0.weight" in state and "body.0.body.0.weight" in state and "tail.1.weight" in state:
        return _load_edsr(_translate_edsr(state), tasks), "edsr", "EDSR-PyTorch"
    if "conv_after_body.weight" in state and "body.0.conv1.weight" in state and "conv_last.weight" in state:
        return _load_edsr(state, tasks), "edsr", "BasicSR"
    return _load_spandrel(state, tasks)


def _load_own(
    state: dict[str, Tensor], tasks: Sequence[str] | None, own: str, kwargs: Mapping[str, Any]
) -> tuple[nn.Module, str, str]:
    if len({parse_task(task).scale for task in tasks or ()}) != 1:
        given = f"not for {', '.join(tasks)}" if tasks else "so say which task it is for: sr2, dn30, dr, …"
        raise ValueError(f"{own} is built for one scale, {given}")
    network = baselines.build(own, tasks[0], **kwargs)
    try:
        network.network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"its weights do not fit {own} with kwargs {dict(kwargs)}: {error}") from None
    network.tasks = tuple(tasks)
    return network, own, "state dict"


def _load_ipt(state: dict[str, Tensor], tasks: Sequence[str] | None) -> nn.Module:
    scales = infer_scales(state)
    names_heads = tasks is not None and [parse_task(task).scale for task in tasks] == scales
    if scales == [parse_task(task).scale for task in SIX_TASKS] and not names_heads:
        tasks = SIX_TASKS  # each task is then restored by the nearest of these heads
    elif tasks is not None and len(scales) == 1 and len(tasks) > 1:
        tasks = _tasks_of(tasks, scales[0])[:1]
    return load_official(state, tasks)


def _translate_edsr(state: dict[str, Tensor]) -> dict[str, Tensor]:
    translated = {}
    for name, tensor in state.items():
        if name.startswith(("sub_mean.", "add_mean.")):
            continue  # the mean of DIV2K, a constant in BasicSR's network
        for theirs, ours in EDSR_NAMES:
            if match := re.fullmatch(theirs, name):
                translated[match.expand(ours)] = tensor
                break
        else:
            raise ValueError(f"looks like EDSR of the EDSR authors' code, but has {name}")
    return translated


def _load_edsr(state: dict[str, Tensor], tasks: Sequence[str] | None) -> nn.Module:
    num_feat = len(state["conv_first.weight"])
    num_block = len([name for name in state if re.fullmatch(r"body\.\d+\.conv1\.weight", name)])
    first = state.get("upsample.0.weight")
    scale = 1 if first is None else 4 if "upsample.2.weight" in state else 3 if len(first) == 9 * num_feat else 2
    task = _tasks_of(tasks, scale)[0]
    res_scale = 0.1 if num_feat >= LARGE_EDSR else 1.0
    network = baselines.build("edsr", task, num_feat=num_feat, num_block=num_block, res_scale=res_scale)
    check_fit(state, network.state_dict(), f"is an incomplete EDSR of {num_block} blocks and {num_feat} features")
    network.load_state_dict(state)
    return network


def _load_spandrel(state: dict[str, Tensor], tasks: Sequence[str] | None) -> tuple[SpandrelNetwork, str, str]:
    from spandrel import MAIN_REGISTRY, ImageModelDescriptor, UnsupportedModelError

    try:
        with warnings.catch_warnings(action="ignore"):  # from other projects' code
            descriptor = MAIN_REGISTRY.load(state)
    except UnsupportedModelError:
        raise ValueError(
            "its weights match no known architecture (this project's, IPT, EDSR, RDN and spandrel's); they "
            f"begin with {', '.join(list(state)[:3])}. If they are for a class of yours, name it: --network path/to/net.py:Class"
        ) from None
    except Exception as error:  # architectures raise many kinds of errors on weights that do not fit
        reason = str(error).partition("\n")[0]
        raise ValueError(f"its weights look like a known architecture, but do not fit it: {reason}") from None
    name = descriptor.architecture.name
    if not isinstance(descriptor, ImageModelDescriptor) or descriptor.purpose == "FaceSR":
        raise ValueError(f"{name} does not restore images only from their degraded version")
    if (descriptor.input_channels, descriptor.output_channels) != (3, 3):
        raise ValueError(
            f"{name} of {descriptor.input_channels} channels; networks that are scored here take and give RGB"
        )
    network = SpandrelNetwork(descriptor, _tasks_of(tasks, descriptor.scale))
    return network, name, "spandrel"


def _check_tasks(tasks: Sequence[str] | None, scale: int) -> None:
    for task in tasks or ():
        if parse_task(task).scale != scale:
            fitting = f"sr{scale}" if scale > 1 else "dn30, dn50 or dr"
            raise ValueError(f"restores at scale {scale} and cannot do {task}; tasks that fit are {fitting}")


def _tasks_of(tasks: Sequence[str] | None, scale: int) -> tuple[str, ...]:
    """The tasks of a network of one scale: as given, or implied by the scale."""
    if scale not in (1, 2, 3, 4):
        raise ValueError(f"restores at scale {scale}; only scales 1 to 4 can be scored")
    fitting = [task for task in tasks or () if parse_task(task).scale == scale]
    if tasks and not fitting:
        _check_tasks(tasks, scale)
    if scale > 1:
        return (f"sr{scale}",)
    if not fitting:
        raise ValueError("restores at scale 1: say which task it is for, dn30, dn50, dr, …")
    return tuple(fitting)
