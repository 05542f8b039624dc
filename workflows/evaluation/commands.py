"""Commands other than scoring: export of inputs, IPT's patch features, and download of sets. Imports no torch."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from workflows import provenance
from workflows.command_line import positive
from workflows.config.benchmark_sets import SETS
from workflows.evaluation.arguments import check_names, scope_parser
from workflows.evaluation.protocol import Protocol
from workflows.evaluation.sets import fetched_folder, find_jobs


def export_command(arguments: Sequence[str]) -> int:
    """Write degraded and clean images."""
    parser = argparse.ArgumentParser(
        prog="python -m workflows.evaluation export-inputs",
        description="Write the exact pixels that models are given (_LR) and compared with (_HR).",
        parents=[scope_parser()],
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--images", nargs="+", action="extend", metavar="NAME", help="only these images")
    for name in ("--precision", "--threads", "--experiment"):
        parser.add_argument(name, help=argparse.SUPPRESS)  # a pipeline passes the same options to both commands
    args = parser.parse_args(arguments)
    jobs = find_jobs(args.sets, args.tasks, args.data_root)
    check_names(args.images, jobs)

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
    parser.add_argument("--images", nargs="+", action="extend", metavar="NAME", help="only these images")
    parser.add_argument("--threads", type=positive, metavar="N", help="CPU threads (default: all)")
    for name in ("--precision", "--experiment", "--device"):
        parser.add_argument(name, help=argparse.SUPPRESS)  # a pipeline passes the same options to all commands
    args = parser.parse_args(arguments)
    jobs = find_jobs(args.sets, args.tasks, args.data_root)
    check_names(args.images, jobs)

    import torch

    from workflows import models
    from workflows.evaluation.features import export_features

    torch.set_flush_denormal(True)  # before threads start: denormal attention weights are slow on a CPU
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
    parser.add_argument(
        "--receipts", type=Path, metavar="DIR", help="record each set's source and hash in DIR/<set>.json"
    )
    args = parser.parse_args(arguments)

    from workflows.evaluation.download import fetch
    from workflows.evaluation.set_digests import sha256_of_folder

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
            receipt = {"set": name, **SETS[name].download, "images_sha256": sha256_of_folder(folder)}
            provenance.write_json(receipt | {"folder": str(folder.resolve())}, args.receipts / f"{name}.json")
        print(f"{name} is in {folder}", flush=True)
    return 0
