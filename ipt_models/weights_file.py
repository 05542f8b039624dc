"""The format of trained networks: safetensors files whose header says how to build the network again.

Header entries, all of them text: `format`, `variant`, `kwargs` (JSON, every argument of the network except its tasks),
`tasks` (JSON) and `weights_sha256`; others are allowed. Equal weights and entries give equal bytes. Only what takes
tensors imports torch.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipt_models.files import replacing

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "2"
BUILT_FROM = ("variant", "kwargs", "tasks")


class ModelFileError(ValueError):
    """A file without a network of this project, in one message."""


def write(weights: Mapping[str, Tensor], path: str | PathLike[str], metadata: Mapping[str, Any]) -> None:
    """Write weights and a header's entries; atomically. Weights that layers share are written under each of their names."""
    header, data = _serialize(weights, metadata)
    header["__metadata__"]["weights_sha256"] = _hash(header, [data])
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(encode(header) + data)


def _serialize(weights: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    from safetensors.torch import save as serialize

    tensors: dict[str, Tensor] = {}
    storages = set()
    for name, tensor in weights.items():
        tensor = tensor.detach().cpu().contiguous()
        storage = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if storage in storages else tensor  # safetensors refuses shared memory
        storages.add(storage)
    data = serialize(tensors, as_text({**metadata, "format": FORMAT}))
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def as_text(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Header entries in the form that safetensors requires."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True) for key, value in metadata.items()
    }


def encode(header: Mapping[str, Any]) -> bytes:
    """A safetensors header with its length, sorted: the library's own order differs from process to process."""
    encoded = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    encoded += b" " * (-len(encoded) % 8)
    return struct.pack("<Q", len(encoded)) + encoded


def read_header(path: str | PathLike[str]) -> dict[str, Any]:
    """A file's entries, with `kwargs` and `tasks` decoded, without its weights and without torch.

    Raises:
        FileNotFoundError: no such file.
        ModelFileError: naming the file and the missing entries.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            header: dict[str, Any] = dict(file.metadata() or {})
    except SafetensorError as error:
        raise ModelFileError(f"{path} is damaged or not a safetensors file ({error})") from None
    if missing := [key for key in BUILT_FROM if key not in header]:
        raise ModelFileError(f"{path} does not say how to build its network: no {', '.join(missing)} in its header")
    if header.get("format") != FORMAT:
        raise ModelFileError(f"{path} is of format {header.get('format')}; this version reads {FORMAT}")
    for key, kind, expected in (("kwargs", dict, "an object"), ("tasks", list, "a list of names")):
        try:
            header[key] = json.loads(header[key])
        except json.JSONDecodeError:
            raise ModelFileError(f"{path}: {key} in its header is not JSON: {header[key][:80]!r}") from None
        if not isinstance(header[key], kind):
            raise ModelFileError(f"{path}: {key} in its header is {str(header[key])[:80]}, expected {expected}")
    if not all(isinstance(task, str) for task in header["tasks"]) or "self" in header["kwargs"]:
        raise ModelFileError(f"{path}: its header does not describe a network: {str(header)[:200]}")
    return header


def begins_like_weights(path: str | PathLike[str]) -> bool:
    """Whether a file's first bytes are those of safetensors (a length, then JSON) or of PyTorch (a zip archive or a pickle)."""
    with open(path, "rb") as file:
        head = file.read(9)
    return head[8:] == b"{" or head.startswith((b"PK", b"\x80"))


def weights_sha256(path: str | PathLike[str]) -> str:
    """Hash of a file's weights without the header's entries: equal for equal weights under other names."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        return _hash(header, iter(lambda: file.read(2**20), b""))


def sha256_of(weights: Mapping[str, Tensor]) -> str:
    """The hash that a file of these weights has in its header, as `weights_sha256`."""
    header, data = _serialize(weights, {})
    return _hash(header, [data])


def check_intact(path: str | PathLike[str], header: Mapping[str, Any]) -> None:
    """Compare a file's weights with the hash in its header, if it has one: safetensors does not notice changed bytes.

    Raises:
        ModelFileError: naming the file.
    """
    if "weights_sha256" in header and weights_sha256(path) != header["weights_sha256"]:
        raise ModelFileError(f"{path} is damaged: its weights are not those that were written")


def _hash(header: Mapping[str, Any], blocks: Iterable[bytes]) -> str:
    digest = hashlib.sha256(encode({key: value for key, value in header.items() if key != "__metadata__"}))
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def check_shapes(path: str | PathLike[str], expected: Mapping[str, Tensor], whose: str | None = None) -> None:
    """Compare a file's arrays with a network's by name and shape, without reading them.

    Args:
        whose: the network in the message; None: that of the file's header.

    Raises:
        ModelFileError: naming the file, and the first of the missing, unknown and misshapen arrays.
    """
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    if faults := misfits(shapes, expected):
        raise ModelFileError(f"{path} does not hold the weights that {whose or 'its header describes'}:{faults}")


def misfits(shapes: Mapping[str, tuple[int, ...]], expected: Mapping[str, Tensor]) -> str:
    """The first ten of the missing, unknown and misshapen arrays, a line each; empty if all are as expected."""
    wanted = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    faults = [f"missing: {name} {shape}" for name, shape in wanted.items() if name not in shapes]
    faults += [f"unknown: {name} {shape}" for name, shape in shapes.items() if name not in wanted]
    faults += [
        f"misshapen: {name} {shapes[name]}, expected {shape}"
        for name, shape in wanted.items()
        if shapes.get(name, shape) != shape
    ]
    more = [f"and {len(faults) - 10} more"] if len(faults) > 10 else []
    return "".join(f"\n  {line}" for line in faults[:10] + more)
