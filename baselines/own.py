"""Users' networks, named by their class: `path/to/net.py:Class` or `package.module:Class`.

The class is a `torch.nn.Module`. It is called with the task's scale where it has a parameter `scale` or `upscale`, takes RGB
in [0, 1], (B, 3, H, W), and returns (B, 3, s*H, s*W). Importing this module imports no torch.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.entry import Network, Sizing
from ipt_models.arguments import check_names
from ipt_models.suggestions import nearest

if TYPE_CHECKING:
    from torch import nn

SCALES = ("scale", "upscale")
# Common names for the width, the depth and the attention heads of a network, most common first.
WIDTHS = ("num_feat", "n_feats", "num_features", "embed_dim", "num_filters", "channels", "features", "dim", "width")
DEPTHS = ("num_block", "num_blocks", "n_resblocks", "num_layers", "depth", "depths", "blocks")
HEADS = ("num_heads", "n_heads", "heads", "num_head", "nhead")


# Copies of users' files that are read instead, by the paths in names of classes.
_COPIES: ContextVar[Mapping[str, Path]] = ContextVar("copies", default={})  # noqa: B039  (never changed)


@contextmanager
def read_from(copies: Mapping[str, Path]) -> Iterator[None]:
    """Within it, classes are looked for in copies of their files, for example those of a published experiment.

    Args:
        copies: by the path that a class's name has.
    """
    token = _COPIES.set(copies)
    try:
        yield
    finally:
        _COPIES.reset(token)


def is_own(variant: str) -> bool:
    """Whether a variant names a user's class: `path/to/net.py:Class` or `package.module:Class`."""
    return ":" in variant


def source_file(variant: str) -> Path:
    """The file of a network's class, found without running any of it.

    Raises:
        ValueError: if there is none.
    """
    place, _, name = variant.rpartition(":")
    if not place or not name.isidentifier():
        raise ValueError(f"{variant!r}: expected path/to/net.py:Class or package.module:Class")
    if place.endswith(".py"):
        path = _COPIES.get().get(str(Path(place))) or Path(place).expanduser()
        if not path.is_file():
            raise ValueError(f"{variant!r}: there is no file {path} (working directory: {Path.cwd()})")
        return path
    top, *rest = place.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise ValueError(f"{variant!r}: no package {top!r} is installed; a file's path ends in .py")
    folders = [Path(folder, *rest) for folder in spec.submodule_search_locations or ()]
    candidates = [path for folder in folders for path in (folder.with_suffix(".py"), folder / "__init__.py")]
    if not rest and spec.origin:
        candidates.append(Path(spec.origin))
    for path in candidates:
        if path.is_file():
            return path
    raise ValueError(f"{variant!r}: package {top!r} has no module {place!r}")


def source_sha256(variant: str) -> str:
    """Hash of that file, in hexadecimal: results depend on it."""
    return hashlib.sha256(source_file(variant).read_bytes()).hexdigest()


def matched(kwargs: Mapping[str, Any]) -> str | None:
    """The user's class whose cost a network matches by its argument `match`, if it names one."""
    match = kwargs.get("match")
    values = match.values() if isinstance(match, Mapping) else ()
    return next((value for value in values if isinstance(value, str) and is_own(value)), None)


def sources(variant: str, kwargs: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of the user's files that decide a network: of its class, and of the class whose cost it matches."""
    classes = {"source_sha256": variant, "match_sha256": matched(kwargs)}
    return {key: source_sha256(name) for key, name in classes.items() if name is not None and is_own(name)}


def load_class(variant: str) -> type[nn.Module]:
    """Import a network's class.

    Raises:
        ValueError: in one message, where the import fails, the class is missing, or it is not a `torch.nn.Module`.
    """
    import baselines.basicsr_alias  # noqa: F401, I001  (it may import basicsr)
    from torch import nn

    path = source_file(variant)
    place, _, name = variant.rpartition(":")
    try:
        if place.endswith(".py"):
            module_name = f"_own_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
            spec = importlib.util.spec_from_file_location(module_name, path)
            if spec is None or spec.loader is None:
                raise ImportError("no Python source")
            module = importlib.util.module_from_spec(spec)
            sys.modules[module_name] = module
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
    except (Exception, SystemExit) as error:  # whatever a user's file raises
        raise ValueError(f"{variant!r}: importing {path} failed with {type(error).__name__}: {error}") from None
    candidate = getattr(module, name, None)
    classes = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, nn.Module)]
    if candidate is None:
        known = f"; it has {', '.join(classes)}" if classes else ""
        raise ValueError(f"{variant!r}: {path} has no class {name!r}{nearest(name, classes)}{known}")
    if not (isinstance(candidate, type) and issubclass(candidate, nn.Module)):
        raise ValueError(f"{variant!r}: {name} in {path} is not a torch.nn.Module class")
    return candidate


def parameters_of(network_class: type[nn.Module]) -> tuple[dict[str, Any], bool]:
    """A constructor's parameters with their defaults (`inspect.Parameter.empty` without), and whether it takes any other."""
    parameters = [*inspect.signature(network_class.__init__).parameters.values()][1:]
    named = {p.name: p.default for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return named, any(p.kind == p.VAR_KEYWORD for p in parameters)


def complete(network_class: type[nn.Module], variant: str, scale: int, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments to call a class with: those given, and the scale if it has a parameter for it.

    Raises:
        ValueError: for an argument that it does not take, or a missing one that it needs.
    """
    named, takes_any = parameters_of(network_class)
    if not takes_any:
        check_names([*named], [*given], repr(variant))
    scale_argument = {name: scale for name in SCALES if name in named and name not in given}
    arguments = {**dict(list(scale_argument.items())[:1]), **given}
    missing = [name for name, value in named.items() if value is inspect.Parameter.empty and name not in arguments]
    if missing:
        raise ValueError(f"{variant!r} needs {', '.join(missing)}; give them as `kwargs`")
    return arguments


def entry(variant: str) -> Network:
    """An entry as in the registry. Its class is wrapped in `baselines.own_network.OwnNetwork`."""
    named, _ = parameters_of(load_class(variant))
    width = next((name for name in WIDTHS if name in named), None)
    depth = next((name for name in DEPTHS if name in named), None)
    heads = next((name for name in HEADS if name in named), None)
    sizes = {
        name: value for name, value in named.items() if name not in SCALES and value is not inspect.Parameter.empty
    }
    return Network(
        name=variant.rpartition(":")[2],
        class_path=variant,
        arguments=tuple(named),
        variants={variant: {name: sizes[name] for name in (width, depth, heads) if name is not None and name in sizes}},
        sizing=None if width is None else Sizing(width, depth, heads=heads),
    )
