"""Scores from the command line; see `--help`. Exit status: 0 all scored, 1 some images failed, 2 asked wrongly."""

import argparse
import csv
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from ipt_models.files import replacing
from workflows.config.choices import Bicubic, Gray, Noise
from workflows.evaluation import score_provenance
from workflows.evaluation.protocol import Protocol
from workflows.evaluation.sets import SETS, Job, SetError, fetched_folder, find_jobs

COLUMNS = (
    "experiment",
    "model",
    "fraction",
    "seed",
    "task",
    "dataset",
    "image",
    "psnr_y",
    "ssim_y",
    "psnr_rgb",
    "height",
    "width",
    "head",
    "protocol",
    "setting",
)
PRECISIONS = {"32": "32-true", "32-true": "32-true", "bf16": "bf16-mixed", "bf16-mixed": "bf16-mixed"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    commands = {
        "export-inputs": export_command,
        "export-features": features_command,
        "download": download_command,
    }
    command = commands.get(arguments[0]) if arguments else None
    try:
        return command(arguments[1:]) if command else score_command(arguments)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def scope_parser() -> argparse.ArgumentParser:
    """The arguments that say what is scored, by which protocol."""
    parser = argparse.ArgumentParser(add_help=False)
    scope = parser.add_argument_group("what is scored")
    scope.add_argument(
        "--sets",
        nargs="+",
        required=True,
        metavar="SET",
        help=f"{', '.join(SETS)}; Set14@3 (its first three images); Set14@matlab (its gray files that way); "
        "NAME=FOLDER; NAME=TARGETS,INPUTS",
    )
    scope.add_argument("--tasks", nargs="+", required=True, metavar="TASK", help="sr2, sr3, sr4, dn30, dn50, dr, …")
    scope.add_argument("--data-root", type=Path, metavar="DIR", help="folder that holds the sets")
    rules = parser.add_argument_group("protocol")
    rules.add_argument("--gray", choices=get_args(Gray), default="rgb", help="how gray files are scored (default: rgb)")
    rules.add_argument(
        "--bicubic", choices=get_args(Bicubic), default="uint8", help="MATLAB's rounding, or one rounding at the end"
    )
    rules.add_argument(
        "--noise", choices=get_args(Noise), default="clipped", help="whether noisy inputs are clipped to 0-255"
    )
    return parser


def score_command(arguments: Sequence[str]) -> int:
    """Score a model, a reference or a folder, and write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m workflows.evaluation",
        description="Score a model on benchmark sets: one row an image.",
        epilog="Other commands: export-inputs (write what models are given), export-features (IPT's patch features), "
        "download (fetch a set). Each has --help.",
        parents=[scope_parser()],
    )
    source = parser.add_argument_group("what scores").add_mutually_exclusive_group(required=True)
    source.add_argument("--model", metavar="PATH", help="a model.safetensors, bicubic or identity")
    source.add_argument("--restored", type=Path, metavar="DIR", help="folder of images that another program restored")
    run = parser.add_argument_group("how it runs")
    run.add_argument("--self-ensemble", action="store_true", help="average over the eight flips and rotations")
    run.add_argument(
        "--stride",
        type=_stride,
        metavar="K",
        help="IPT: LR pixels between windows, or `overlapping`, about half a window (default: one whole window)",
    )
    run.add_argument("--precision", choices=PRECISIONS, default="32-true")
    run.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, cuda:1 or auto (default: cpu)")
    run.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all)")
    written = parser.add_argument_group("what is written")
    written.add_argument(
        "--out", type=Path, required=True, metavar="CSV", help="its origin is written beside it, as .json"
    )
    written.add_argument("--save-images", type=Path, metavar="DIR", help="keep outputs as DIR/<task>/<set>/<image>.png")
    written.add_argument("--images", nargs="+", metavar="NAME", help="keep the outputs of these images only")
    written.add_argument("--experiment", metavar="NAME", help="column experiment (default: the checkpoint's)")
    written.add_argument("--label", metavar="NAME", help="column model (default: the checkpoint's)")
    written.add_argument("--fraction", type=float, metavar="F", help="column fraction (default: the checkpoint's)")
    written.add_argument("--seed", type=int, metavar="S", help="column seed (default: the checkpoint's)")
    args = parser.parse_args(arguments)

    jobs = find_jobs(args.sets, args.tasks, args.data_root)
    _check_names(args.images, jobs)
    protocol = Protocol(args.gray, args.bicubic, args.noise)
    threads = args.threads or os.cpu_count() or 1
    source, jobs = _restored(args, jobs) if args.restored else _model(args, jobs, protocol, threads)

    from workflows.evaluation.score import score, summary

    keep = set(args.images) if args.images else None
    result = score(source, jobs, protocol, args.save_images, keep, threads)
    header = getattr(source, "metadata", {})
    identity = {
        "experiment": args.experiment if args.experiment is not None else header.get("experiment"),
        "model": args.label or source.label,
        "fraction": args.fraction if args.fraction is not None else header.get("fraction"),
        "seed": args.seed if args.seed is not None else header.get("seed"),
    }
    rows = [{**identity, **row} for row in result.rows]
    if not result.failures:
        write_table(rows, args.out)
        weights = Path(args.model) if getattr(source, "metadata", None) else None
        facts = {"setting": source.setting, "device": str(getattr(source, "device", "")), "threads": threads}
        score_provenance.write(args.out, weights, jobs, **identity, **facts)
        print("\n".join(summary(result.rows)))
        return 0
    # Under its own name: a mean over what is left must not pass for the set's, and Snakemake removes a failed job's output.
    partial = args.out.with_name(f"{args.out.stem}.incomplete{args.out.suffix}")
    write_table(rows, partial)
    print(f"error: {len(result.failures)} of {len(rows) + len(result.failures)} images failed:", file=sys.stderr)
    print("\n".join(f"  {line}" for line in result.failures), file=sys.stderr)
    print(f"The other scores are in {partial}", file=sys.stderr)
    return 1


def _model(args: argparse.Namespace, jobs: list[Job], protocol: Protocol, threads: int):
    # Threads that wait for one another by spinning slow each other down many times over on a machine shared with others.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from workflows.evaluation.restorer import Restorer

    device = args.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    source = Restorer(args.model, protocol, args.self_ensemble, args.stride, PRECISIONS[args.precision], device)
    torch.set_num_threads(1 if source.side_by_side else threads)
    mine = [job for job in jobs if source.can(job.task)]
    if not mine:
        raise SetError(f"{source.label} restores none of the tasks {', '.join(args.tasks)}")
    for job in mine:
        source.head(job.task)  # refuses before anything is computed
    skipped = sorted({job.task.name for job in jobs} - {job.task.name for job in mine})
    if skipped:
        print(f"{source.label} has no meaning for {', '.join(skipped)}: not scored")
    return source, mine


def _stride(text: str) -> int | str:
    return text if text == "overlapping" else int(text)


def _restored(args: argparse.Namespace, jobs: list[Job]):
    from workflows.evaluation.outputs import RestoredFolder

    if args.self_ensemble or args.stride:
        raise ValueError("--self-ensemble and --stride are for models; the images of --restored are scored as they are")
    return RestoredFolder(args.restored, jobs), jobs


def export_command(arguments: Sequence[str]) -> int:
    """Write degraded and clean images."""
    parser = argparse.ArgumentParser(
        prog="python -m workflows.evaluation export-inputs",
        description="Write the exact pixels that models are given (_LR) and compared with (_HR).",
        parents=[scope_parser()],
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--images", nargs="+", metavar="NAME", help="these images only")
    for name in ("--precision", "--threads", "--experiment"):
        parser.add_argument(name, help=argparse.SUPPRESS)  # a pipeline passes the same options to both commands
    args = parser.parse_args(arguments)
    jobs = find_jobs(args.sets, args.tasks, args.data_root)
    _check_names(args.images, jobs)

    from workflows.evaluation.export import export_inputs

    failures = export_inputs(
        jobs, Protocol(args.gray, args.bicubic, args.noise), args.out, set(args.images) if args.images else None
    )
    if failures:
        print("error: these images failed:\n  " + "\n  ".join(failures), file=sys.stderr)
    return int(bool(failures))


def features_command(arguments: Sequence[str]) -> int:
    """Write IPT's patch features."""
    parser = argparse.ArgumentParser(
        prog="python -m workflows.evaluation export-features",
        description="Write IPT's patch features of images, which the contrastive loss compares, as .npz.",
        parents=[scope_parser()],
    )
    parser.add_argument("--model", type=Path, required=True, metavar="PATH", help="an IPT's model.safetensors")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for DIR/<task>/<set>/<image>.npz")
    parser.add_argument("--images", nargs="+", metavar="NAME", help="these images only")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all)")
    for name in ("--precision", "--experiment", "--device"):
        parser.add_argument(name, help=argparse.SUPPRESS)  # a pipeline passes the same options to all commands
    args = parser.parse_args(arguments)
    jobs = find_jobs(args.sets, args.tasks, args.data_root)
    _check_names(args.images, jobs)

    import torch

    from workflows import models
    from workflows.evaluation.features import export_features

    torch.set_flush_denormal(True)  # before threads start: a CPU is slow with attention's smallest weights
    torch.set_num_threads(args.threads or os.cpu_count() or 1)
    network, metadata = models.load(args.model)
    if not models.is_ipt(metadata["variant"]):
        raise ValueError(f"{args.model} is {metadata['variant']}: only IPT has patch features")
    if lacking := {job.task.name for job in jobs} - set(network.tasks):
        raise ValueError(f"{args.model} has heads for {', '.join(network.tasks)}, not for {', '.join(sorted(lacking))}")
    protocol = Protocol(args.gray, args.bicubic, args.noise)
    failures = export_features(network, jobs, protocol, args.out, set(args.images) if args.images else None)
    if failures:
        print("error: these images failed:\n  " + "\n  ".join(failures), file=sys.stderr)
    return int(bool(failures))


def download_command(arguments: Sequence[str]) -> int:
    """Fetch sets that have a stable public address."""
    able = [benchmark.name for benchmark in SETS.values() if benchmark.download]
    parser = argparse.ArgumentParser(
        prog="python -m workflows.evaluation download",
        description=f"Fetch benchmark sets from their public addresses, checked by sha256. Known: {', '.join(able)}.",
    )
    parser.add_argument("--sets", nargs="+", required=True, metavar="SET", choices=able)
    parser.add_argument("--data-root", type=Path, required=True, metavar="DIR")
    parser.add_argument("--receipts", type=Path, metavar="DIR", help="note each set's origin in DIR/<set>.json")
    args = parser.parse_args(arguments)

    from workflows.evaluation.download import fetch

    archives: dict[tuple[str, str], dict[str, Path]] = {}  # one may hold several sets
    for name in args.sets:
        origin = SETS[name].download
        parts = archives.setdefault((origin["url"], origin["sha256"]), {})
        parts[origin.get("part", "")] = fetched_folder(SETS[name], args.data_root)
    for (url, sha256), folders in archives.items():
        fetch(url, sha256, folders)
    for name in args.sets:
        folder = fetched_folder(SETS[name], args.data_root)
        if args.receipts:
            args.receipts.mkdir(parents=True, exist_ok=True)
            receipt = {"set": name, **SETS[name].download, "folder": str(folder.resolve())}
            (args.receipts / f"{name}.json").write_text(json.dumps(receipt, indent=2) + "\n")
        print(f"{name} is in {folder}", flush=True)
    return 0


def _check_names(names: Sequence[str] | None, jobs: Sequence[Job]) -> None:
    known = {sample.image for job in jobs for sample in job.samples}
    if unknown := [name for name in names or () if name not in known]:
        raise SetError(f"--images: no {', '.join(unknown)} in the sets; there are {', '.join(sorted(known))}")


def write_table(rows: Sequence[dict], path: Path) -> None:
    """Write the table; it appears whole or not at all. Empty cells are values that do not apply."""
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: f"{v:.6f}" if key in _DECIMALS and v is not None else v for key, v in row.items()})


_DECIMALS = ("psnr_y", "ssim_y", "psnr_rgb")


if __name__ == "__main__":
    sys.exit(main())
