"""Scores from the command line; see `--help`. Exit status: 0 all scored, 1 some images failed, 2 wrong arguments."""

import argparse
import csv
import os
import sys
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.own import is_own
from baselines.registry import UNTRAINED
from ipt_models.files import replacing, target
from ipt_models.variants import WINDOWS
from workflows import models
from workflows.command_line import exit_status, positive
from workflows.config.benchmark_sets import SetError
from workflows.evaluation import score_provenance
from workflows.evaluation.arguments import PRECISIONS, add_own_network, check_names, check_own_network, scope_parser
from workflows.evaluation.commands import download_command, export_command, features_command
from workflows.evaluation.kept_scores import KeptScores
from workflows.evaluation.protocol import Protocol
from workflows.evaluation.restore import restore_command
from workflows.evaluation.sets import Job, find_jobs

if TYPE_CHECKING:
    from workflows.evaluation.outputs import RestoredFolder
    from workflows.evaluation.restorer import Restorer

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    commands = {
        "export-inputs": export_command,
        "export-features": features_command,
        "download": download_command,
        "restore": restore_command,
    }
    command = commands.get(arguments[0]) if arguments else None
    work = partial(command, arguments[1:]) if command else partial(score_command, arguments)
    return exit_status(work, (ValueError, OSError))


def score_command(arguments: Sequence[str]) -> int:
    """Score a model, a reference or a folder, and write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m workflows.evaluation",
        description="Score a model on benchmark sets: one row per image.",
        epilog="Other commands: restore (photos by a model), export-inputs (write what models are given), export-features "
        "(IPT's patch features), download (fetch a set). Each has --help.",
        parents=[scope_parser()],
    )
    source = parser.add_argument_group("what scores").add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--model", metavar="PATH", help="a checkpoint, see docs/models.md for what is read; bicubic; or identity"
    )
    source.add_argument("--restored", type=Path, metavar="DIR", help="folder of images that another program restored")
    add_own_network(parser.add_argument_group("whose weights --model has, if they are not recognised"))
    run = parser.add_argument_group("how it runs")
    run.add_argument("--self-ensemble", action="store_true", help="average over the eight flips and rotations")
    run.add_argument(
        "--windows",
        choices=WINDOWS,
        help="how IPT's windows cover an image, see docs/protocol.md (default: centre)",
    )
    run.add_argument("--precision", choices=PRECISIONS, default="32-true")
    run.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, cuda:1 or auto (default: cpu)")
    run.add_argument("--threads", type=positive, metavar="N", help="CPU threads (default: all)")
    written = parser.add_argument_group("what is written")
    written.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="CSV",
        help="the table; its provenance is written to the same folder, as .json",
    )
    written.add_argument("--save-images", type=Path, metavar="DIR", help="keep outputs as DIR/<task>/<set>/<image>.png")
    written.add_argument(
        "--images", nargs="+", action="extend", metavar="NAME", help="keep the outputs of these images only"
    )
    written.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="keep a network's scores of each finished set there, and use those of an earlier call with the same weights, "
        "images, code and options: a call that was stopped continues, and an added set is scored alone. One "
        "folder for each network and setting; not for your own classes",
    )
    written.add_argument("--experiment", metavar="NAME", help="column experiment (default: the checkpoint's)")
    written.add_argument("--label", metavar="NAME", help="column model (default: the checkpoint's)")
    written.add_argument("--fraction", type=float, metavar="F", help="column fraction (default: the checkpoint's)")
    written.add_argument("--seed", type=int, metavar="S", help="column seed (default: the checkpoint's)")
    written.add_argument(
        "--method",
        metavar="NAME",
        help="name of a method outside the experiment's grid: column model, with fraction and seed empty. Tasks that "
        "a model cannot restore are left out",
    )
    written.add_argument("--training-data", metavar="TEXT", help="what the method was trained on, for tables")
    written.add_argument(
        "--parameters", type=positive, metavar="N", help="parameters of the network behind --restored, for tables"
    )
    args = parser.parse_args(arguments)

    _check_written(args.out, args.save_images)
    if args.keep and (args.restored or args.model in UNTRAINED):
        raise ValueError("--keep is for trained networks: other scores are computed in seconds")
    if args.keep and args.keep.exists() and not args.keep.is_dir():
        raise ValueError(f"--keep {args.keep}: is not a folder")
    check_own_network(args)
    jobs = find_jobs(args.sets, args.tasks, args.data_root)
    check_names(args.images, jobs)
    protocol = Protocol(args.gray, args.bicubic, args.noise)
    threads = args.threads or os.cpu_count() or 1
    source, jobs = _restored(args, jobs) if args.restored else _model(args, jobs, protocol, threads)

    from workflows.evaluation.score import is_of, score, summary

    save_only = set(args.images) if args.images else None
    metadata = getattr(source, "metadata", {})
    code = models.code("workflows.evaluation.__main__", metadata.get("variant"))
    facts = {"setting": source.setting, "device": str(getattr(source, "device", "")), "threads": threads}
    kept, earlier = None, []
    if args.keep and not is_own(metadata["variant"]):
        kept = KeptScores(args.keep, jobs, protocol, Path(args.model), code, metadata, **facts)
        earlier = _scored_earlier(kept, jobs, args.save_images, save_only)
    new = [job for job in jobs if not any(is_of(row, job) for row in earlier)]
    result = score(source, new, protocol, args.save_images, save_only, threads, finished=kept.keep if kept else None)
    result.rows[:] = [row for job in jobs for row in (*earlier, *result.rows) if is_of(row, job)]
    if args.restored and (lossy := source.lossy(jobs)):
        more = f" and {len(lossy) - 1} more" if len(lossy) > 1 else ""
        print(f"note: {lossy[0]}{more}: JPEG loses detail, and the scores include that; PNG does not", file=sys.stderr)
    identity = _identity(args, source)
    rows = [{**identity, **row} for row in result.rows]
    if not result.failures:
        write_table(rows, args.out)
        weights = Path(args.model) if metadata else None
        if args.method:
            facts["method"] = _method(args, source, jobs)
        if args.network:
            facts["network"] = {key: metadata[key] for key in ("variant", "kwargs", "source_sha256")}
        if earlier:
            facts["scored_earlier"] = kept.records
        score_provenance.write(args.out, code, weights, jobs, **identity, **facts)
        if kept:
            kept.drop_others()
        print("\n".join(summary(result.rows)))
        return 0
    # Under another name: the mean over the remaining images must not be taken for the set's, and Snakemake removes a failed
    # job's output.
    partial = args.out.with_name(f"{args.out.stem}.incomplete{args.out.suffix}")
    partial.unlink(missing_ok=True)
    print(f"error: {len(result.failures)} of {len(rows) + len(result.failures)} images failed:", file=sys.stderr)
    print("\n".join(f"  {line}" for line in result.failures), file=sys.stderr)
    if rows:
        write_table(rows, partial)
        print(f"The other scores are in {partial}", file=sys.stderr)
    return 1


def _scored_earlier(
    kept: KeptScores, jobs: Sequence[Job], save_dir: Path | None, save_only: Collection[str] | None
) -> list[dict[str, Any]]:
    """The kept rows of the sets that need not be scored. Outputs are not kept, so a set of which some are saved is scored."""
    rows = []
    for job in jobs:
        saves = save_dir is not None and any(save_only is None or one.image in save_only for one in job.samples)
        if not saves and (found := kept.find(job)):
            print(f"{job.request.label} {job.task.name}: scored earlier")
            rows += found
    return rows


def _identity(args: argparse.Namespace, source: "Restorer | RestoredFolder") -> dict[str, Any]:
    """The run that the rows are labelled with: from the options, or else from the checkpoint."""
    header = getattr(source, "metadata", {})
    if args.method:
        return {"experiment": args.experiment, "model": args.method, "fraction": None, "seed": None}
    return {
        "experiment": args.experiment if args.experiment is not None else header.get("experiment"),
        "model": args.label or source.label,
        "fraction": args.fraction if args.fraction is not None else header.get("fraction"),
        "seed": args.seed if args.seed is not None else header.get("seed"),
    }


def _method(args: argparse.Namespace, source: "Restorer | RestoredFolder", jobs: Sequence[Job]) -> dict[str, Any]:
    """What tables say about an external method; None if nothing is known."""
    costs = {"parameters": args.parameters, "macs_per_output_pixel": None}
    if args.model:
        costs = source.costs(dict.fromkeys(job.task.name for job in jobs))
    return {"source": args.model or str(args.restored), **costs, "training_data": args.training_data}


def _model(args: argparse.Namespace, jobs: list[Job], protocol: Protocol, threads: int):
    # On a shared machine, threads that spin while they wait slow each other down many times over.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from workflows.evaluation.restorer import Restorer, usable_device

    device = usable_device(args.device)
    precision = PRECISIONS[args.precision]
    own = {"tasks": args.tasks, "own": args.network, "kwargs": args.kwargs}
    source = Restorer(args.model, protocol, args.self_ensemble, args.windows, precision, device, **own)
    torch.set_num_threads(1 if source.parallel_images else threads)
    if not source.parallel_images and not args.method:
        for job in jobs:
            source.head(job.task)  # raises before anything is computed
    mine = [job for job in jobs if source.can(job.task)]
    if not mine:
        raise SetError(f"{source.label} restores none of the tasks {', '.join(args.tasks)}")
    skipped = sorted({job.task.name for job in jobs} - {job.task.name for job in mine})
    if skipped:
        print(f"{source.label} does not restore {', '.join(skipped)}: not scored")
    return source, mine


def _restored(args: argparse.Namespace, jobs: list[Job]):
    from workflows.evaluation.outputs import RestoredFolder

    if args.self_ensemble or args.windows:
        raise ValueError(
            "--self-ensemble and --windows are for models; the images of --restored are scored as they are"
        )
    return RestoredFolder(args.restored, jobs), jobs


def _check_written(out: Path, save_images: Path | None) -> None:
    """Whether what is to be written can be, before anything is computed."""
    if out.suffix.lower() == ".json":
        raise ValueError(f"--out {out}: the table is CSV and its provenance is written as .json; name it .csv")
    for path in (out, score_provenance.beside(out)):
        target(path)
    if save_images is not None:
        target(save_images / "image.png")


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
