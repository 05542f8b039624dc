"""Pairs of files, degraded inputs and clean targets, for training on real degradations."""

import re
from pathlib import Path

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
        ValueError: naming files without a partner, or two files of one name.
    """
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
    entries = []
    for name, path in matched["targets"].items():
        partner = matched["inputs"][name]
        status = (root / path).stat()
        modified = status.st_mtime_ns + (root / partner).stat().st_mtime_ns
        entries.append(Entry(path, "", "", 0, status.st_size, modified, partner))
    return Listing(sorted(entries), [], [])


def _find(root: Path, what: str, place: str) -> dict[str, str]:
    """Paths relative to root, keyed by the text that matches them."""
    if place.count("*") > 1:
        raise ValueError(f"{what} {place!r}: a pattern needs exactly one `*`, which matches the name of a pair")
    if "*" in place:
        before, after = map(re.escape, place.split("*"))
        pattern, files = re.compile(f"{before}(.*){after}", re.DOTALL), root.glob(place)
    else:
        pattern, files = (
            re.compile(f"{re.escape(place.rstrip('/'))}/(.*)\\.[^.]*", re.DOTALL),
            root.glob(f"{place}/**/*"),
        )
    matched: dict[str, str] = {}
    for file in sorted(files):
        path = file.relative_to(root).as_posix()
        if is_image(path) and file.is_file() and (match := pattern.fullmatch(path)):
            if match[1] in matched:
                raise ValueError(f"{what} {place!r}: {matched[match[1]]} and {path} are two files for one pair")
            matched[match[1]] = path
    if not matched:
        raise FileNotFoundError(f"no image matches {what} {place!r} in {root}")
    return matched
