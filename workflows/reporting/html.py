"""The whole report as one HTML file: claims first, then figures, tables, images and provenance.

The page is self-contained: pictures are embedded, a few lines of script move the image sliders, and nothing is loaded from
elsewhere.
"""

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from docutils.core import publish_parts
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from workflows.analysis.records import ReportError, percent, transformers
from workflows.config import grid
from workflows.files import write_text
from workflows.readers import read_json
from workflows.reporting import claims, outline
from workflows.reporting.image_panels import Crop, Tile, checked_crop, load, pick_crop
from workflows.reporting.markup import HTML, to_html
from workflows.reporting.study import Study
from workflows.reporting.tables import blocks

HERE = Path(__file__).parent

# The slider shows a window around the crop: large enough to look around, small enough to send by mail.
WINDOW = 240
# A figure at least this many times as wide as high has its caption below, others to the side.
WIDE = 1.6


@dataclass(frozen=True)
class Shown:
    """A figure of the page: picture and data as `data:` URLs, the caption as HTML."""

    title: str
    picture: str
    wide: bool
    caption: str
    files: dict[str, str]


@dataclass(frozen=True)
class Slider:
    """One image in all its versions, each with name, score and picture, and the two shown first."""

    title: str
    versions: list[dict[str, str]]
    left: int
    right: int


def write_html(experiment_dir: Path, out: Path) -> None:
    """Write the page for an experiment's folder; sections with nothing to show are left out.

    Args:
        experiment_dir: folder with `results.csv`, `runs.csv`, `tables/`, `figures/`, `runs/`, `inputs/` and `experiment.yaml`.
        out: the HTML file.

    Raises:
        ReportError: if experiment.yaml, results.csv, runs.csv or a table is missing or invalid.
    """
    study = Study(experiment_dir)
    runs, results = study.runs, study.results
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("report.html.jinja").render(
        name=study.config.get("name", experiment_dir.name),
        claims=claims.groups(study),
        note=HTML.note,
        figures=figures(study),
        tables=tables(study),
        sliders=sliders(study),
        missing=runs.loc[runs["status"] != "done", ["run", "status"]].to_dict("records"),
        provenance=provenance(experiment_dir, list(runs["run"])),
        ipts=transformers(runs),
        protocols=sorted(set(results["protocol"].dropna())) if "protocol" in results else [],
        config=yaml.safe_dump(study.config, sort_keys=False, allow_unicode=True),
        results=_data_address(experiment_dir / "results.csv"),
        runs=_data_address(experiment_dir / "runs.csv"),
    )
    write_text(page, out)


def tables(study: Study) -> list[dict[str, str]]:
    """The tables that are not empty, as HTML, each with its CSV."""
    filled = []
    for name, title in outline.TABLES.items():
        if name != claims.NAME and (page := to_html(blocks(name, study))):
            file = study.folder / ("learning_rates.csv" if name == "learning_rates" else f"tables/{name}.csv")
            filled.append({"name": name, "title": title, "html": page, "csv": _data_address(file)})
    return filled


def figures(study: Study) -> list[Shown]:
    """The config's figures as far as they exist, in reading order; others of an earlier config may lie beside them."""
    spec = study.folder / "experiment.yaml"
    try:
        drawn = outline.drawn(grid.read(spec))
    except grid.ConfigError as error:
        raise ReportError(f"{spec}: {error}") from None
    shown = []
    for stem, name, picture in drawn:
        path = study.folder / "figures" / f"{stem}.png"
        if not path.is_file():
            continue
        subject = f": {picture.image} ({picture.dataset}, {picture.task})" if picture else ""
        files = {suffix[1:].upper(): path.with_suffix(suffix) for suffix in (".csv", ".pdf")}
        with Image.open(path) as pixels:
            wide = pixels.width > WIDE * pixels.height
        shown.append(
            Shown(
                {**outline.FIGURES, **outline.PICTURES}[name] + subject,
                _data_address(path),
                wide,
                caption(name, study.config),
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


def sliders(study: Study) -> list[Slider]:
    """The images of `report.comparisons` that are saved."""
    images = []
    for compared in study.report.get("comparisons") or []:
        task, dataset, image = compared["task"], compared["dataset"], compared["image"]
        if not (study.folder / "inputs" / task / dataset / f"{image}_HR.png").is_file():
            continue
        tiles, fraction, seed = load(study, task, dataset, image)
        whole = tiles[-1].pixels
        crop = checked_crop(compared["crop"], whole) if compared.get("crop") else pick_crop(tiles)
        # With `whole: false` the page holds no more of an image than the figure does.
        window = crop if compared.get("whole") is False else _window(crop, whole.shape)
        # Without a score, a model's image is of weights that are gone: it is trained or scored again.
        tiles = [tile for tile in tiles if tile.pixels is not None and (tile.model is None or tile.score)]
        training = "" if fraction is None else f", models trained on {percent(fraction)}, seed {seed}"
        title = f"{image} ({dataset}, {task}){training}"
        images.append(Slider(title, [_version(tile, window) for tile in tiles], *_first_shown(tiles, study)))
    return images


def _first_shown(tiles: list[Tile], study: Study) -> tuple[int, int]:
    """Left the untrained reference, or else the input; right the model with the best PSNR, or else the original."""
    trained = set(study.runs.loc[study.runs["fraction"].notna(), "model"])
    references = [i for i, tile in enumerate(tiles) if tile.model and tile.model not in trained]
    models = [i for i, tile in enumerate(tiles) if tile.model in trained and tile.psnr is not None]
    return references[0] if references else 0, max(models, key=lambda i: tiles[i].psnr, default=len(tiles) - 1)


def _window(crop: Crop, shape: tuple[int, ...]) -> Crop:
    """A larger window around the crop, inside the image."""
    x, y, width, height = crop
    sides = min(max(width, WINDOW), shape[1]), min(max(height, WINDOW), shape[0])
    corner = [
        min(max(start + length // 2 - side // 2, 0), whole - side)
        for start, length, side, whole in zip((x, y), (width, height), sides, (shape[1], shape[0]), strict=True)
    ]
    return corner[0], corner[1], *sides


def _version(tile: Tile, window: Crop) -> dict[str, str]:
    x, y, width, height = window
    file = io.BytesIO()
    Image.fromarray(tile.pixels[y : y + height, x : x + width]).save(file, "png", optimize=True)
    return {"name": tile.name, "score": tile.score, "picture": _address("image/png", file.getvalue())}


def provenance(experiment_dir: Path, names: list[str]) -> list[dict[str, Any]]:
    """The origin of each run's numbers, from its provenance.json and metrics.json; runs without both are left out."""
    rows = []
    for name in names:
        folder = experiment_dir / "runs" / name
        trained, scored = (_json(folder / file) for file in ("provenance.json", "metrics.json"))
        if not trained and not scored:
            continue
        record = trained or scored  # references are only scored
        hardware, training = record.get("hardware") or {}, record.get("training") or {}
        commit = (record.get("commit") or "unknown")[:12] + (" (changed)" if record.get("dirty") else "")
        seconds = training.get("wall_seconds")
        rows.append(
            {
                "run": name,
                "version": record.get("version") or "",
                "commit": commit,
                "hardware": ", ".join(hardware.get("accelerators") or [hardware.get("processor") or "unknown"]),
                "threads": record.get("threads", ""),
                "precision": training.get("precision", ""),
                "torch": (record.get("versions") or {}).get("torch", ""),
                "seconds": "" if seconds is None else f"{seconds:,.0f}",
                "weights": (trained.get("weights_sha256") or "")[:12],
                "scores": (scored.get("metrics_sha256") or "")[:12],
                "all": json.dumps({"training": trained, "scoring": scored}, indent=1, ensure_ascii=False),
            }
        )
    return rows


def _json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _data_address(path: Path) -> str:
    kinds = {".png": "image/png", ".csv": "text/csv", ".pdf": "application/pdf"}
    return _address(kinds[path.suffix], path.read_bytes())


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
