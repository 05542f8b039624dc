"""The whole study as one HTML file that needs nothing else: verdict first, then figures, tables, images and origins.

Everything is inside: pictures as data, a few lines of script for the image slider, no address of another place. A page that
is opened without a network, mailed or put into an archive looks the same.
"""

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import yaml
from docutils.core import publish_parts
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from workflows.analysis import learning_rates
from workflows.analysis.records import read_results, read_runs
from workflows.files import write_text
from workflows.reporting.image_panels import Crop, Tile, checked_crop, load, pick_crop
from workflows.reporting.markup import HTML, to_html
from workflows.reporting.outline import FIGURES, PICTURES, TABLES
from workflows.reporting.tables import tables
from workflows.reporting.verdict import judge

HERE = Path(__file__).parent
DRAWN = {**FIGURES, **PICTURES}

# The slider shows a window around the crop: large enough to look around in, small enough to mail.
WINDOW = 240


@dataclass(frozen=True)
class Shown:
    """A figure of the page: picture and data as `data:` addresses, the caption as HTML."""

    title: str
    picture: str
    caption: str
    files: dict[str, str]


@dataclass(frozen=True)
class Slider:
    """One image in all its versions: name, score and picture of each."""

    title: str
    versions: list[dict[str, str]]


def write_html(experiment_dir: Path, out: Path) -> None:
    """Write the page for an experiment's folder; what is missing there is said on the page.

    Args:
        experiment_dir: folder with `results.csv`, `runs.csv`, `figures/`, `runs/`, `inputs/` and `experiment.yaml`.
        out: the HTML file.

    Raises:
        ReportError: results.csv or runs.csv is not what it should be.
    """
    results, runs = read_results(experiment_dir / "results.csv"), read_runs(experiment_dir / "runs.csv")
    config = _config(experiment_dir / "experiment.yaml")
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("report.html.jinja").render(
        name=config.get("name", experiment_dir.name),
        # A number does not part from its unit at the end of a line.
        verdict=[
            sentence.replace(" %", "\u00a0%").replace(" dB", "\u00a0dB") for sentence in judge(results, runs).sentences
        ],
        figures=figures(experiment_dir / "figures", config),
        undrawn=[title for name, title in DRAWN.items() if not list((experiment_dir / "figures").glob(f"{name}*.png"))],
        tables=[
            {"name": name, "title": TABLES[name], "html": to_html(table.blocks(results, runs, HTML), table.nothing)}
            for name, table in tables().items()
        ]
        + _learning_rates(experiment_dir),
        sliders=sliders(experiment_dir, config),
        missing=runs.loc[runs["status"] != "done", ["run", "status"]].to_dict("records"),
        origins=origins(experiment_dir, list(runs["run"])),
        protocols=sorted(set(results["protocol"].dropna())) if "protocol" in results else [],
        config=yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
        results=_data_address(experiment_dir / "results.csv"),
        runs=_data_address(experiment_dir / "runs.csv"),
    )
    write_text(page, out)


def _learning_rates(experiment_dir: Path) -> list[dict[str, str]]:
    if not (experiment_dir / "learning_rates.csv").is_file():
        return []
    table = pd.read_csv(experiment_dir / "learning_rates.csv")
    page = to_html(learning_rates.blocks(table, HTML))
    return [{"name": "learning-rates", "title": "How the learning rates were chosen", "html": page}]


def figures(folder: Path, config: dict[str, Any]) -> list[Shown]:
    """All figures that are drawn, in reading order."""
    shown = []
    for name, title in DRAWN.items():
        for path in sorted(folder.glob(f"{name}*.png")):
            of = path.stem.removeprefix(name).strip("-_").replace("-", ", ")
            files = {suffix[1:].upper(): path.with_suffix(suffix) for suffix in (".csv", ".pdf")}
            shown.append(
                Shown(
                    f"{title}: {of}" if of else title,
                    _data_address(path),
                    caption(name, config),
                    {kind: _data_address(file) for kind, file in files.items() if file.is_file()},
                )
            )
    return shown


def caption(name: str, config: dict[str, Any]) -> str:
    """A caption's HTML, from the template that Snakemake's report uses too."""
    path = HERE / "captions" / f"{name}.rst"
    environment = Environment(trim_blocks=True)  # as in Snakemake
    text = environment.from_string(path.read_text(encoding="utf-8")).render(snakemake=SimpleNamespace(config=config))
    return publish_parts(text, writer="html")["body"]


def sliders(experiment_dir: Path, config: dict[str, Any]) -> list[Slider]:
    """The images that the config wants compared, as far as they are saved."""
    found = []
    for wanted in (config.get("report") or {}).get("comparisons") or []:
        task, dataset, image = wanted["task"], wanted["dataset"], wanted["image"]
        if not (experiment_dir / "inputs" / task / dataset / f"{image}_HR.png").is_file():
            continue
        tiles, fraction, seed = load(experiment_dir, task, dataset, image)
        whole = tiles[-1].pixels
        crop = checked_crop(wanted["crop"], whole) if wanted.get("crop") else pick_crop(tiles)
        versions = [version for tile in tiles if (version := _version(tile, _window(crop, whole.shape)))]
        of = "" if fraction is None else f", models trained on {100 * fraction:g} %, seed {seed}"
        found.append(Slider(f"{image} ({dataset}, {task}){of}", versions))
    return found


def _window(crop: Crop, shape: tuple[int, ...]) -> Crop:
    """A larger window around the crop, inside the image."""
    x, y, width, height = crop
    sides = min(max(width, WINDOW), shape[1]), min(max(height, WINDOW), shape[0])
    corner = [
        min(max(start + length // 2 - side // 2, 0), whole - side)
        for start, length, side, whole in zip((x, y), (width, height), sides, (shape[1], shape[0]), strict=True)
    ]
    return corner[0], corner[1], *sides


def _version(tile: Tile, window: Crop) -> dict[str, str] | None:
    if tile.pixels is None:
        return None
    x, y, width, height = window
    file = io.BytesIO()
    Image.fromarray(tile.pixels[y : y + height, x : x + width]).save(file, "png", optimize=True)
    score = "" if tile.psnr is None else f"{tile.psnr:.2f} dB"
    return {"name": tile.name, "score": score, "picture": _address("image/png", file.getvalue())}


def origins(experiment_dir: Path, names: list[str]) -> list[dict[str, Any]]:
    """Where each run's numbers come from, as its provenance.json and metrics.json say; runs without either are left out."""
    rows = []
    for name in names:
        folder = experiment_dir / "runs" / name
        trained, scored = (_json(folder / file) for file in ("provenance.json", "metrics.json"))
        if not trained and not scored:
            continue
        # References are not trained: theirs is the origin of their scores.
        found = trained or scored
        hardware, training = found.get("hardware") or {}, found.get("training") or {}
        commit = (found.get("commit") or "unknown")[:12] + (" (changed)" if found.get("dirty") else "")
        rows.append(
            {
                "run": name,
                "commit": commit,
                "hardware": ", ".join(hardware.get("accelerators") or [hardware.get("processor") or "unknown"]),
                "threads": found.get("threads", ""),
                "precision": training.get("precision", ""),
                "torch": (found.get("versions") or {}).get("torch", ""),
                "seconds": training.get("wall_seconds", ""),
                "weights": (trained.get("weights_sha256") or "")[:12],
                "scores": (scored.get("metrics_sha256") or "")[:12],
                "all": json.dumps({"training": trained, "scoring": scored}, indent=1, ensure_ascii=False),
            }
        )
    return rows


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _config(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _data_address(path: Path) -> str:
    kinds = {".png": "image/png", ".csv": "text/csv", ".pdf": "application/pdf"}
    return _address(kinds[path.suffix], path.read_bytes())


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
