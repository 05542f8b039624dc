"""The part of an experiment that a paper's supplement or a repository keeps: everything needed to check its numbers.

Configs, the code of own networks, lists of images, logs, scores, tables, figures and provenance are kept, with the hashes of
all of them and a page that says what each is; `verify` checks the copy like the original. Of lists above 1 MiB the page has
the hash alone. Weights, caches and images are not kept. Of benchmark images, which belong to others, only small crops and maps
are kept: no comparison or similarity map that shows a whole image.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from baselines import own
from workflows import provenance
from workflows.analysis.records import ReportError, parse_run, read_results, read_runs
from workflows.analysis.tables import TABLES
from workflows.config import grid
from workflows.config.experiment import Experiment
from workflows.config.runs import fraction_label
from workflows.files import write_text
from workflows.readers import read_json
from workflows.reporting import outline
from workflows.reporting.numbers import counted

RUNS = (
    *("results.csv", "runs.csv", "data/*.csv", "data/finetune/*.csv"),
    *("runs/*/metrics*.csv", "runs/*/metrics*.json", "runs/*/train.csv", "runs/*/provenance.json"),
)
LARGEST = 32 * 2**20  # bytes of a file; hosts of repositories warn or refuse above 50 MB
LARGEST_LIST = 2**20  # bytes of a list of images; ImageNet's have some hundred megabytes each
SUMS, PAGE = "SHA256SUMS", "README.md"


def publish(experiment_dir: Path, out: Path, summary: bool = False) -> list[Path]:
    """Copy the small files of a finished experiment; `out` is complete or absent, and replaces an older copy.

    Args:
        experiment_dir: results/<name>.
        out: for example results/reference/<name>.
        summary: keep only the config, tables and figures, which cannot be checked against the scores.

    Returns:
        The copied files, `SHA256SUMS` and `README.md`, relative to `out`.

    Raises:
        ReportError: if the experiment has no results.csv, its experiment.yaml is not valid, the file of one of its networks is
            gone or has changed since, runs.csv lists other runs than it, a file is larger than 32 MiB, or `out` holds something
            other than an earlier copy.
    """
    out = out.resolve()  # a link's target is replaced, not the link
    if not (experiment_dir / "results.csv").is_file():
        raise ReportError(f"{experiment_dir}: no results.csv, so nothing to keep; run the experiment first")
    if out in (experiment_dir.resolve(), *experiment_dir.resolve().parents):
        raise ReportError(f"{out}: holds the experiment itself and would be replaced; name another folder")
    earlier = out.exists() and (not out.is_dir() or any(out.iterdir()))
    if earlier and not all((out / name).is_file() for name in (SUMS, "experiment.yaml")):
        raise ReportError(f"{out}: is no published copy and would be replaced; name a new folder")
    try:
        spec = grid.read(experiment_dir / "experiment.yaml")
    except grid.ConfigError as error:
        raise ReportError(f"{experiment_dir / 'experiment.yaml'}: {error}") from None
    if why := unlike(read_runs(experiment_dir / "runs.csv")["run"], spec):
        raise ReportError(f"{experiment_dir / 'runs.csv'}: {why}, unlike experiment.yaml; run the workflow first")
    kept = ["experiment.yaml", *sorted(shown(spec)), *(() if summary else RUNS)]
    left_out = whole_images(spec) | dropped(experiment_dir, spec)
    files = [file for file in _files(experiment_dir, kept) if left_out.isdisjoint((file, *file.parents))]
    networks = own_networks(spec.model_dump(mode="json"))
    code = {name: Path(path).expanduser() for name, path in networks.items()}
    for path in code.values():
        if not path.is_file():
            raise ReportError(f"there is no file {path} (working directory: {Path.cwd()}), which experiment.yaml names")
    _refuse_other_code(experiment_dir, spec)
    sizes = {file: (experiment_dir / file).stat().st_size for file in files}
    large = [file for file in files if file.parts[0] == "data" and sizes[file] > LARGEST_LIST]
    files = [file for file in files if file not in large]
    for file in files:
        if sizes[file] > LARGEST:
            raise ReportError(
                f"{experiment_dir / file} has {sizes[file]:,} bytes; at most {LARGEST:,} per file are published"
                + "; --summary leaves out scores and logs" * (not summary)
            )
    temporary = out.with_name(f".{out.name}.publishing")
    shutil.rmtree(temporary, ignore_errors=True)  # left by a killed call
    for file in files:
        (temporary / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(experiment_dir / file, temporary / file)
    for name, path in code.items():
        shutil.copyfile(path, temporary / name)
    files += map(Path, code)
    write_text(page(experiment_dir, summary, large, networks), temporary / PAGE)
    sums = "".join(f"{provenance.sha256(temporary / file)}  {file.as_posix()}\n" for file in (*files, Path(PAGE)))
    write_text(sums, temporary / SUMS)
    aside = out.with_name(f".{out.name}.replaced")
    shutil.rmtree(aside, ignore_errors=True)
    if out.exists():
        out.rename(aside)
    temporary.rename(out)
    shutil.rmtree(aside, ignore_errors=True)
    return [*files, Path(PAGE), Path(SUMS)]


def _refuse_other_code(experiment_dir: Path, spec: Experiment) -> None:
    """Raise ReportError where an own network's file is not the one that a run was trained, or a method scored, with."""
    used = [(f"runs/{method.name}/metrics.json", "source_sha256", method.network) for method in spec.evaluation.methods]
    for name, run in spec.trainings().items():
        classes = {"source_sha256": run.variant, "match_sha256": own.matched(run.kwargs)}
        used += [(f"runs/{name}/provenance.json", key, network) for key, network in classes.items()]
    for file, key, network in used:
        if network is None or ".py:" not in network or not (experiment_dir / file).is_file():
            continue
        record, now = read_json(experiment_dir / file), own.source_sha256(network)
        if record.get("network", record).get(key, now) != now:
            raise ReportError(
                f"{network} has changed since {experiment_dir / file} was written; undo the change, or run the experiment again"
            )


def page(
    experiment_dir: Path, summary: bool = False, large: Iterable[Path] = (), networks: Mapping[str, str] | None = None
) -> str:
    """The README: the folder's content, the code that made it, and how to check it.

    `large` lists are named with their hash, and the files of `networks` with the paths where the config has them.
    """
    results, runs = read_results(experiment_dir / "results.csv"), read_runs(experiment_dir / "runs.csv")
    trained = runs[runs["fraction"].notna() & (runs["status"] == "done")]
    commits = sorted(trained["commit"].dropna().unique()) if "commit" in trained else []
    protocols = sorted(results["protocol"].dropna().unique()) if "protocol" in results else []
    of_runs = """- `data/`: which images were used, with SHA-256, and which of them each fraction holds.
- `runs/<run>/`: `train.csv` (the log), `metrics.csv` (one row per image), `provenance.json` and `metrics.json` (code, versions, \
hardware, hashes of weights and images).
- `results.csv`, `runs.csv`: scores and runs, from which the tables are computed.
"""
    of_runs += "".join(
        f"- `{file.as_posix()}` is left out for its size; its SHA-256 is {provenance.sha256(experiment_dir / file)}.\n"
        for file in large
    )
    listed = "".join(
        f"- `{name}`: the code of a network. To repeat the experiment, put it where `experiment.yaml` names it: \
`{path}`.\n"
        for name, path in (networks or {}).items()
    )
    listed += "" if summary else of_runs
    again = "snakemake --cores all --configfile FOLDER/experiment.yaml"
    return f"""# {experiment_dir.name}

{counted(len(trained), "training")} of {counted(trained["model"].nunique(), "model")}, {counted(len(results), "score")} of \
{counted(results["dataset"].nunique(), "benchmark set")}. Scoring protocol: {", ".join(protocols) or "not recorded"}. \
Code: commit {", ".join(commits) or "not recorded"}.

- `experiment.yaml`: the whole configuration, every default spelled out.
{listed}- `tables/`: everything computed from the scores; `figures/`: PNG and PDF, each with its data.

Check it with `sha256sum -c {SUMS}`{"" if summary else " and `python -m workflows.audit verify FOLDER`"}; repeat it with \
`{again}`{"" if summary else " and `python -m workflows.audit compare-experiments FOLDER results/NAME --within`"}.
"""


def planned_names(spec: Experiment) -> list[str]:
    """The references, methods and runs that runs.csv lists, missing ones with their status."""
    return [*spec.references, *(method.name for method in spec.evaluation.methods), *spec.runs()]


def unlike(names: Iterable[str], spec: Experiment) -> str:
    """How the names in runs.csv differ from the config's; empty if they do not."""
    wanted, listed = set(planned_names(spec)), set(names)
    differ = {"lacks": sorted(wanted - listed), "also has": sorted(listed - wanted)}
    return "; ".join(f"{verb} {', '.join(some[:3])}{', …' * bool(some[3:])}" for verb, some in differ.items() if some)


def shown(spec: Experiment) -> set[str]:
    """The tables and figures of the config; the folder may also hold those of an earlier one."""
    stems = [drawn.stem for drawn in outline.drawn(spec)]
    names = {f"figures/{stem}{suffix}" for stem in stems for suffix in (".csv", ".pdf", ".png")}
    names |= {f"tables/{name}.csv" for name in (*TABLES, *(stem for stem in stems if stem.startswith("similarity-")))}
    names |= {f"tables/{name}{suffix}" for name in outline.TABLES for suffix in (".md", ".tex")}
    return names | ({"learning_rates.csv"} if spec.trials() else set())


def dropped(experiment_dir: Path, spec: Experiment) -> set[Path]:
    """Runs, lists of images and ensembled scores in the folder that the config does not ask for, or no longer.

    Trials of its networks at other learning rates are not among them: they show how the rates were chosen.
    """
    runs = {path.name for path in (experiment_dir / "runs").glob("[!.]*") if path.is_dir()}
    lists = {file for source in spec.sources for file in _files(experiment_dir, [f"{source}/fraction-*.csv"])}
    trained = spec.trainings()
    percents = [fraction_label(fraction) for fraction in spec.fractions]
    wanted = {Path(run.subset) for run in trained.values()}
    wanted |= {Path("data", f"fraction-{percent}-seed-{seed}.csv") for percent in percents for seed in spec.trial_seeds}
    names = {*spec.references, *(method.name for method in spec.evaluation.methods), *trained}
    unplanned = {Path("runs", name) for name in runs - names if not _tries_a_rate(name, spec)}
    ensembled = {
        path.relative_to(experiment_dir)
        for name, ensembles in spec.ensembles().items()
        for path in (experiment_dir / "runs" / name).glob("metrics-*.*")
        if path.stem.removeprefix("metrics-") not in ensembles
    }
    tuning = {Path("data/finetune")} if not spec.finetune and (experiment_dir / "data" / "finetune").is_dir() else set()
    return unplanned | (lists - wanted) | ensembled | tuning


def _tries_a_rate(name: str, spec: Experiment) -> bool:
    run = parse_run(name)
    model, tried, _ = run.model.rpartition("-lr-")
    known = model in {entry.name for entry in spec.models} and run.seed in spec.trial_seeds
    return bool(tried) and known and fraction_label(run.fraction) in map(fraction_label, spec.fractions)


def own_networks(config: Mapping[str, Any]) -> dict[str, str]:
    """The files of the user's networks: the name of each one's copy, and its path in the config.

    Classes named as `package.module:Class` have none. Where files have the same name, later ones are numbered.

    Args:
        config: as YAML gives it.
    """
    methods = (config.get("evaluation") or {}).get("methods") or []
    named = [(model["variant"], model.get("kwargs")) for model in config.get("models") or []]
    named += [(method.get("network"), method.get("kwargs")) for method in methods]
    classes = [name for variant, kwargs in named for name in (variant, own.matched(kwargs or {})) if name]
    places = [name.rpartition(":")[0] for name in classes]
    copies: dict[str, str] = {}
    for path in dict.fromkeys(Path(place) for place in places if place.endswith(".py")):
        name, number = path.name, 1
        while name in copies:
            number += 1
            name = f"{path.stem}-{number}.py"
        copies[name] = str(path)
    return copies


def whole_images(spec: Experiment) -> set[Path]:
    """The figures that show a whole image, not only crops or maps."""
    whole = [drawn.stem for drawn in outline.drawn(spec) if drawn.picture and drawn.picture.whole]
    return {Path("figures", stem + suffix) for stem in whole for suffix in (".png", ".pdf")}


def _files(experiment_dir: Path, patterns: Iterable[str]) -> Iterator[Path]:
    for pattern in patterns:
        for path in sorted(experiment_dir.glob(pattern)):
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(experiment_dir)
