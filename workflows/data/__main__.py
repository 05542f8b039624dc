"""The data stage by hand: `python -m workflows.data synthesize | manifest | fraction`."""

import argparse
import json
import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from workflows.command_line import exit_status, from_zero, positive, refuse_same_file, whole


# Each command imports what it needs: `--help` should not wait for pandas and OpenCV.
def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    return exit_status(lambda: options.run(options), (ValueError, OSError))


def synthesize(out: Path, seed: int, count: int, size: int, threads: int | None = None) -> None:
    """Generate `count` dead-leaves images as out/train/<class>/<index>.png.

    The folder appears when it is complete. A folder that an earlier call made is replaced; any other non-empty folder is
    refused.

    Raises:
        ValueError: if `out` holds other files.
    """
    import cv2
    from tqdm import tqdm

    from workflows.data import dead_leaves

    record = {"source": "dead_leaves", "seed": seed, "count": count, "size": size}
    if out.exists() and any(out.iterdir()) and not (out / RECORD).exists():
        raise ValueError(f"{out} is not empty and was not made by this command: name another folder")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)

    def write(index: int) -> None:
        path = partial / "train" / dead_leaves.class_of(seed, index) / f"{index:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = cv2.cvtColor(dead_leaves.draw(seed, index, size), cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 3])
        path.write_bytes(data.tobytes())

    started = time.perf_counter()
    interval = 0.5 if sys.stderr.isatty() else 30
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        drawn = pool.map(write, range(count))
        for _ in tqdm(drawn, total=count, unit="image", desc="synthesize", mininterval=interval):
            pass
    (partial / RECORD).write_text(json.dumps(record) + "\n", encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    os.replace(partial, out)
    seconds = time.perf_counter() - started
    print(f"{count} images of {size}x{size} pixels in {out}, {seconds:.1f} s", flush=True)


RECORD = "dead_leaves.json"  # what marks a folder as made by `synthesize`


def _synthesize(options: argparse.Namespace) -> None:
    synthesize(options.out, options.seed, options.count, options.size, options.threads)


def _manifest(options: argparse.Namespace) -> None:
    from workflows.data import fractions, manifest

    out, rejected_path = options.out_manifest, options.out_rejected or options.out_manifest.with_name("rejected.csv")
    outputs = {"--out-manifest": out, "--out-validation": options.out_validation, "--out-rejected": rejected_path}
    refuse_same_file(outputs)
    out.parent.mkdir(parents=True, exist_ok=True)
    # Not an output of the workflow's rule, so its content survives an interrupted or failed job.
    journal = out.with_name(f"{out.name}.partial")
    started = time.perf_counter()
    if (options.inputs is None) != (options.targets is None):
        raise ValueError("--inputs and --targets go together")
    pairs = manifest.Pairs(options.inputs, options.targets, options.scale) if options.inputs else None
    try:
        images, rejected, notes = manifest.scan(
            options.root, options.min_side, options.max_undecodable, journal, options.threads, pairs
        )
    except manifest.UndecodableError as error:
        manifest.write_table(error.rejected, rejected_path)
        raise ValueError(f"{error}. Those found so far are listed in {rejected_path}") from None
    _, validation = fractions.split_validation(images, options.validation, options.seed)
    manifest.write_table(rejected, rejected_path)
    manifest.write_table(validation, options.out_validation)
    manifest.write_table(images, out)
    journal.unlink(missing_ok=True)
    for note in notes:
        print(note)
    small, same = (
        int(rejected["reason"].str.startswith(reason).sum()) for reason in (manifest.TOO_SMALL, manifest.DUPLICATE)
    )
    print(
        f"{len(images)} images of {images['class'].nunique()} classes, {len(validation)} of them for validation; "
        f"left out: {small} too small, {same} equal to others, {len(rejected) - small - same} unusable"
        f"{f', see {rejected_path}' if len(rejected) else ''}; {time.perf_counter() - started:.1f} s",
        flush=True,
    )


def _fraction(options: argparse.Namespace) -> None:
    from workflows.data import fractions, manifest

    table, validation = manifest.read_table(options.manifest), manifest.read_table(options.validation)
    train = table[~table["sha256"].isin(validation["sha256"])]
    chosen = fractions.select(train, options.fraction, options.seed)
    manifest.write_table(chosen, options.out)
    print(
        f"{len(chosen)} of {len(train)} training images, {chosen['class'].nunique()} classes, seed {options.seed}",
        flush=True,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workflows.data", description=__doc__)
    stages = parser.add_subparsers(dest="stage", required=True)

    stage = stages.add_parser("synthesize", help="generate dead-leaves images")
    stage.set_defaults(run=_synthesize)
    stage.add_argument("--seed", type=whole, default=0, help="seed of the collection (default 0)")
    stage.add_argument("--count", type=positive, required=True, help="how many images")
    stage.add_argument("--size", type=positive, required=True, help="side of an image in pixels")
    stage.add_argument("--out", type=Path, required=True, help="folder; images land in OUT/train/<class>/<index>.png")
    stage.add_argument("--threads", type=positive, help="threads (default: one per processor)")

    stage = stages.add_parser(
        "manifest", help="list, check and hash a source's images, and split off those for validation"
    )
    stage.set_defaults(run=_manifest)
    stage.add_argument(
        "--root",
        type=Path,
        required=True,
        help="ImageNet (train/<wnid>/, its tar archives or Hugging Face's parquet files), webdataset shards, BasicSR's LMDB, "
        "DIV2K or any folder of images",
    )
    stage.add_argument(
        "--inputs", help="for pairs: folder of the degraded images, or a pattern such as rain-*.png, in ROOT"
    )
    stage.add_argument(
        "--targets", help="for pairs: folder of the clean images, or a pattern such as norain-*.png, in ROOT"
    )
    stage.add_argument(
        "--scale", type=positive, default=1, help="for pairs: a target's side over its input's (default 1)"
    )
    stage.add_argument("--validation", type=whole, required=True, help="how many images to hold out")
    stage.add_argument("--seed", type=whole, default=0, help="seed of the choice of validation images (default 0)")
    stage.add_argument(
        "--min-side",
        type=positive,
        default=1,
        help="reject images with a shorter side, in pixels: scale times patch size of the largest task (default 1)",
    )
    stage.add_argument(
        "--max-undecodable",
        type=from_zero,
        default=0.01,
        help="stop above this share of undecodable images (default 0.01)",
    )
    stage.add_argument("--out-manifest", type=Path, required=True, help="CSV of all usable images")
    stage.add_argument("--out-validation", type=Path, required=True, help="CSV of those held out")
    stage.add_argument(
        "--out-rejected",
        type=Path,
        help="CSV of the rejected images with reasons (default: rejected.csv in the manifest's folder)",
    )
    stage.add_argument("--threads", type=positive, help="reader processes (default: one per processor)")

    stage = stages.add_parser("fraction", help="choose a nested, class-balanced fraction of the training images")
    stage.set_defaults(run=_fraction)
    stage.add_argument("--manifest", type=Path, required=True, help="CSV of all usable images")
    stage.add_argument(
        "--validation", type=Path, required=True, help="CSV of those held out, which belong to no fraction"
    )
    stage.add_argument("--fraction", type=float, required=True, help="in (0, 1]")
    stage.add_argument("--seed", type=whole, required=True, help="seed of the run")
    stage.add_argument("--out", type=Path, required=True, help="CSV of the chosen images")
    return parser


if __name__ == "__main__":
    sys.exit(main())
