"""`python -m workflows.evaluation restore`: a photo, or every photo of a folder, by any model that can be scored.

Files keep their format, colour profile and, if they are gray, their one channel. A file that cannot be restored is
skipped and named at the end. Imports no torch until something is restored, so that `--help` is quick.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from ipt_models.files import replacing, target
from ipt_models.tasks import Task, parse_task
from ipt_models.variants import WINDOWS
from workflows.command_line import positive, whole
from workflows.evaluation.arguments import PRECISIONS, add_own_network, check_own_network
from workflows.evaluation.image_files import ImageError, first_line, read
from workflows.files import IMAGE_SUFFIXES, is_image

if TYPE_CHECKING:
    from workflows.evaluation.restorer import Restorer

# Options of lossy formats. `python -m benchmarks.jpeg` measures the loss of JPEG's qualities.
LOSSLESS: dict[str, Any] = {".webp": {"lossless": True}, ".png": {"compress_level": 3}}
JPEG_QUALITY = 100
OVERLAP = 32  # input pixels around a tile of a network whose outputs depend on the whole image


class Pair(NamedTuple):
    """A file to read and the one to write."""

    source: Path
    target: Path


def restore_command(arguments: Sequence[str]) -> int:
    """Restore; returns 0 if all images were restored, 1 if some failed."""
    args = parser().parse_args(arguments)
    check_own_network(args)
    pairs, skipped = find(args.source, args.target)

    # On a shared machine, threads that spin while they wait slow each other down.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from workflows.evaluation.restorer import Restorer, usable_device

    torch.set_flush_denormal(True)
    torch.set_num_threads(args.threads or os.cpu_count() or 1)
    model = Restorer(
        args.model,
        self_ensemble=args.self_ensemble,
        windows=args.windows,
        precision=PRECISIONS[args.precision],
        device=usable_device(args.device),
        tile=args.tile,
        progress=True,
        default_windows="blended",
        tasks=[args.task] if args.task else None,
        overlap=OVERLAP,
        own=args.network,
        kwargs=args.kwargs,
    )
    if args.tile and model.sees_whole_images:
        print(f"{model.label} may see the whole image: tiles change its result a little", file=sys.stderr)
    task = _task(args.task, model)
    failures = []
    for number, pair in enumerate(pairs, 1):
        try:
            before, after = restore_file(model, task, pair, args.quality)
        except ImageError as error:
            failures.append(str(error))
            continue
        except (OSError, ValueError, MemoryError) as error:  # ValueError: more pixels than the format holds
            failures.append(f"{pair.target}: {first_line(error)}")
            continue
        sizes = " -> ".join(f"{width}x{height}" for height, width in (before, after))
        print(f"[{number}/{len(pairs)}] {pair.target}: {sizes}, {task.name}", flush=True)
    for path in skipped:
        print(f"skipped {path}: hidden", file=sys.stderr)
    if failures:
        print(f"error: {len(failures)} of {len(pairs)} images failed:", file=sys.stderr)
        print("\n".join(f"  {line}" for line in failures), file=sys.stderr)
    return int(bool(failures))


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m workflows.evaluation restore",
        description="Restore a photo, or every photo of a folder, by any model.",
    )
    parser.add_argument("source", type=Path, help="an image or a folder")
    parser.add_argument("target", type=Path, help="the image to write, or a folder for images of the same names")
    parser.add_argument("--model", required=True, metavar="FILE", help="a checkpoint, see docs/models.md; or bicubic")
    add_own_network(parser)
    parser.add_argument("--task", help="sr2, dn30, dr, …; may be omitted if the model has only one")
    parser.add_argument("--self-ensemble", action="store_true", help="average over the eight flips and rotations")
    parser.add_argument(
        "--windows",
        choices=WINDOWS,
        help="how IPT's windows cover the image (default: blended, without seams; scores use centre)",
    )
    parser.add_argument(
        "--tile",
        type=whole,
        metavar="K",
        help="all but IPT: side of the tiles in input pixels, 0 for one piece (default: tiles of 512 above a megapixel, if "
        "that changes nothing)",
    )
    parser.add_argument(
        "--quality", type=positive, default=JPEG_QUALITY, metavar="Q", help="of JPEG files (default: 100)"
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="32-true")
    parser.add_argument("--device", default="auto", metavar="NAME", help="cpu, cuda, cuda:1 or auto (default: auto)")
    parser.add_argument("--threads", type=positive, metavar="N", help="CPU threads (default: all)")
    return parser


def find(source: Path, out: Path) -> tuple[list[Pair], list[Path]]:
    """The files to read and write, and the hidden images of a folder, which are left out.

    Raises:
        ValueError, OSError: if there is nothing to restore, or nowhere to write.
    """
    if not source.exists():
        raise FileNotFoundError(f"no image or folder at {source}")
    if not source.is_dir():
        if out.is_dir():
            out = out / source.name
        if not is_image(out, hidden=True):
            raise ValueError(
                f"{out}: expected the name of an image, ending in one of {', '.join(sorted(IMAGE_SUFFIXES))}"
            )
        pairs, hidden = [Pair(source, out)], []
    else:
        images = sorted(path for path in source.iterdir() if is_image(path, hidden=True))
        hidden = [path for path in images if not is_image(path)]
        pairs = [Pair(path, out / path.name) for path in images if is_image(path)]
        if not pairs:
            raise ValueError(f"{source} has no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    for pair in pairs:
        target(pair.target)
        if pair.target.exists() and pair.target.samefile(pair.source):
            raise ValueError(f"{pair.target} is the input; name another output")
    return pairs, hidden


def restore_file(model: "Restorer", task: Task, pair: Pair, quality: int = JPEG_QUALITY) -> tuple[tuple, tuple]:
    """Restore one file; returns the heights and widths before and after.

    Raises:
        ImageError: if the file is not an 8-bit image, or the model cannot restore it.
    """
    picture = read(pair.source)
    pixels = model.pixels(picture.pixels, task, pair.source)
    write(pixels, pair.target, picture.gray, _profile(pair.source), quality)
    return picture.pixels.shape[:2], pixels.shape[:2]


def write(pixels: np.ndarray, path: Path, gray: bool, profile: bytes | None, quality: int = JPEG_QUALITY) -> None:
    """Write uint8 RGB (H, W, 3), as one channel if `gray`, in the format of the name's suffix."""
    image = Image.fromarray(pixels)
    suffix = path.suffix.lower()
    options = {"quality": quality, "subsampling": 0} if suffix in (".jpg", ".jpeg") else LOSSLESS.get(suffix, {})
    if profile:
        options = options | {"icc_profile": profile}
    with replacing(path) as temporary:
        (image.convert("L") if gray else image).save(temporary, **options)


def _profile(path: Path) -> bytes | None:
    with Image.open(path) as image:
        return image.info.get("icc_profile")


def _task(name: str | None, model: "Restorer") -> Task:
    known = ", ".join(model.tasks) or "any scale"
    if name is None:
        if len(model.tasks) != 1:
            raise ValueError(f"--task is needed: {model.label} restores {known}")
        return parse_task(model.tasks[0])
    task = parse_task(name)
    if not model.can(task):
        raise ValueError(f"--task {name}: {model.label} restores {known}")
    return task
