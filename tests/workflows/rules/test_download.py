"""The workflow fetches a missing set from its public address, here a local one, and scores it; once."""

import functools
import hashlib
import io
import shutil
import subprocess
import sys
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parents[3]
REQUESTS = []


@functools.cache  # made once: a ZIP holds the time of its making, so a second one may have another SHA-256
def archive() -> bytes:
    """Five small images as benchmark/Set5/HR/<name>.png."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for number, name in enumerate(("baby", "bird", "butterfly", "head", "woman")):
            pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
            picture = io.BytesIO()
            Image.fromarray(pixels).save(picture, "png")
            file.writestr(f"benchmark/Set5/HR/{name}.png", picture.getvalue())
    return data.getvalue()


@pytest.fixture
def address(tmp_path):
    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=tmp_path / "served")

        def log_message(self, *arguments):
            REQUESTS.append(arguments)

    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "benchmark.zip").write_bytes(archive())
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/benchmark.zip"
        server.shutdown()
        thread.join()


def test_a_missing_set_is_fetched_once_and_scored(tmp_path, address):
    code = tmp_path / "code"
    for name in ("workflows", "baselines", "ipt_models", "profiles"):
        shutil.copytree(ROOT / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, code)
    sets = code / "workflows/config/benchmark_sets.yaml"
    entries = yaml.safe_load(sets.read_text())
    entries["Set5"]["download"] |= {"url": address, "sha256": hashlib.sha256(archive()).hexdigest()}
    sets.write_text(yaml.safe_dump(entries))
    config = {
        "name": "fetched",
        "models": [],
        "evaluation": {"sets": ["Set5"], "data_root": str(tmp_path / "sets"), "download": True},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    metrics = "results/fetched/runs/bicubic/metrics.csv"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(code / "Snakefile"), "--directory", str(tmp_path)]
    command += ["--configfile", str(tmp_path / "config.yaml"), "--cores", "1", metrics]

    first = subprocess.run(command, capture_output=True, text=True)
    assert first.returncode == 0, first.stdout + first.stderr
    assert f"Fetching Set5 into {tmp_path / 'sets'}" in first.stderr
    assert len((tmp_path / metrics).read_text().splitlines()) == 1 + 5
    assert len(list((tmp_path / "sets/benchmark/Set5/HR").iterdir())) == 5
    receipt = yaml.safe_load((tmp_path / "results/fetched/data/sets/Set5.json").read_text())
    assert (receipt["url"], receipt["folder"]) == (address, str(tmp_path / "sets/benchmark/Set5"))
    assert len(REQUESTS) == 1
    again = subprocess.run([*command, "--dry-run"], capture_output=True, text=True)
    assert "Nothing to be done" in again.stdout + again.stderr, again.stdout + again.stderr
