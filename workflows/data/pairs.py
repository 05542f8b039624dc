"""Pairs of files, degraded inputs and clean targets, for training on real degradations."""

import glob
import os
import re
from pathlib import Path, PurePosixPath

from workflows.data.containers import Entry
from workflows.data.sources import Listing
from workflows.files import is_image


def list_pairs(root: Path, inputs: str, targets: str) -> Listing:
    """List pairs of images, matched by the text that `*` stands for, or by their path in two folders without the suffix.

    Args:
        root: folder that both are relative to.
        inputs: a folder, or a pattern with one `*`, for example `rain-*.png`.
        targets: likewise, for example `norain-*.png`.

    Raises:
        FileNotFoundError: if inputs or targets have no image.
        ValueError: naming files without a partner, or two files of one name; or for a place outside root.
    """
    entries = []
    for path, partner in find_pairs(root, inputs, targets):
        status = (root / path).stat()
        modified = status.st_mtime_ns + (root / partner).stat().st_mtime_ns
        entries.append(Entry(path, "", "", 0, status.st_size, modified, partner))
    return Listing(sorted(entries), [], [])


def find_pairs(root: Path, inputs: str, targets: str) -> list[tuple[str, str]]:
    """The target and the input of each pair, relative to root; arguments and errors as of `list_pairs`."""
    matched = {what: _find(Path(root), what, place) for what, place in (("inputs", inputs), ("targets", targets))}
    lonely = [
        f"{len(names)} of the {what} have no partner: {', '.join(matched[what][name] for name in names[:3])}"
        + (", …" if len(names) > 3 else "")
        for what, other in (("inputs", "targets"), ("targets", "inputs"))
        if (names := sorted(matched[what].keys() - matched[other].keys()))
    ]
    if lonely:
        raise ValueError(
            f"{'; '.join(lonely)}. An input and its target have the same text in place of `*` (inputs {inputs}, targets "
            f"{targets}, in {root}), or the same path in their folders"
        )
    return [(path, matched["inputs"][name]) for name, path in matched["targets"].items()]


def _find(root: Path, what: str, place: str) -> dict[str, str]:
    """Paths relative to root, keyed by the text that matches them."""
    folder = PurePosixPath(place)
    if folder.is_absolute() or not folder.parts or ".." in folder.parts:
        raise ValueError(f"{what} {place!r}: expected a folder or a pattern relative to the root, {root}")
    if place.count("*") > 1:
        raise ValueError(f"{what} {place!r}: a pattern needs exactly one `*`, which matches the name of a pair")
    if "*" in place:
        before, after = map(re.escape, place.split("*"))
        pattern, paths = re.compile(f"{before}(.*){after}", re.DOTALL), glob.iglob(place, root_dir=root)
    else:
        pattern = re.compile(f"{re.escape(str(folder))}/(.*)\\.[^.]*", re.DOTALL)
        start = len(f"{root}/")
        paths = (f"{inside}/{name}"[start:] for inside, _, names in os.walk(f"{root}/{folder}") for name in names)
    base = str(root)  # as text: Path objects take five times as long
    matched: dict[str, str] = {}
    for path in sorted(paths):
        if is_image(path) and (match := pattern.fullmatch(path)) and os.path.isfile(f"{base}/{path}"):
            if match[1] in matched:
                raise ValueError(f"{what} {place!r}: {matched[match[1]]} and {path} are two files for one pair")
            matched[match[1]] = path
    if not matched:
        raise FileNotFoundError(f"no image matches {what} {place!r} in {root}")
    return matched
