import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.helpers import MODELS, gather, write_experiment, write_images
from workflows.reporting.__main__ import main
from workflows.reporting.html import DRAWN, write_html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Headless, without a network, and without the services that a browser calls by itself.
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "small"
    names = write_experiment(folder, fractions=(0.2, 1.0), seeds=(0, 1))
    config = yaml.safe_load((folder / "experiment.yaml").read_text())
    config["report"] = {"comparisons": [{"task": "sr2", "dataset": "photos", "image": "chelsea", "crop": None}]}
    (folder / "experiment.yaml").write_text(yaml.safe_dump(config))
    (folder / "runs" / "rdn-20-seed-1" / "metrics.csv").unlink()
    (folder / "runs" / "bicubic" / "metrics.json").write_text(json.dumps({"metrics_sha256": "7" * 64}))
    gather(folder, names)
    write_images(folder, [*(f"{model}-100-seed-0" for model in MODELS), "bicubic"], "chelsea")
    (folder / "figures").mkdir()
    for name in ("psnr_fraction", "training_curves"):
        Image.new("RGB", (60, 40), "navy").save(folder / "figures" / f"{name}.png")
        (folder / "figures" / f"{name}.csv").write_text("a,b\n1,2\n")
    assert main(["html", "--experiment-dir", str(folder), "--out", str(folder / "study.html")]) == 0
    return folder


@pytest.fixture(scope="module")
def page(folder) -> str:
    return (folder / "study.html").read_text(encoding="utf-8")


def test_nothing_is_loaded_from_elsewhere(page):
    addresses = re.findall(r"""(?:src|href)=["']([^"']*)""", page)
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_the_verdict_stands_before_everything_else(page):
    order = [
        page.index(part)
        for part in ('id="verdict"', 'id="figures"', 'id="tables"', 'id="images"', 'id="protocol"', 'id="origins"')
    ]
    assert order == sorted(order)
    assert page[order[0] : order[1]].count("<li>") >= 3


def test_figures_come_with_caption_and_data_and_the_others_are_named(page):
    assert page.count("<figure") == 2
    assert "bands and bars are 95 % t intervals over the seeds" in page.replace("\n", " ")
    assert page.count('download="PSNR against the share of the training images.csv"') == 1
    assert "Not drawn for this experiment" in page
    assert DRAWN["quality_cost"] in page


def test_missing_runs_are_named(page):
    assert "1 runs are missing" in page
    assert "rdn-20-seed-1: not scored" in page


def test_every_run_states_its_origin(page):
    assert page.count("<code>000000000000</code>") == 16
    assert page.count("<code>777777777777</code>") == 1
    assert page.count("0123456789ab<") == 16
    assert "a processor" in page


def test_names_cannot_inject_markup(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    runs = (copy / "runs.csv").read_text().replace(",EDSR,", ",<script>alert(1)</script>,")
    (copy / "runs.csv").write_text(runs)
    write_html(copy, copy / "study.html")
    assert "<script>alert(1)" not in (copy / "study.html").read_text()
    assert "&lt;script&gt;alert(1)" in (copy / "study.html").read_text()


def test_an_experiment_without_figures_and_scores_still_has_a_page(tmp_path):
    folder = tmp_path / "bare"
    names = write_experiment(folder, fractions=(1.0,))
    shutil.rmtree(folder / "runs")
    gather(folder, names)
    write_html(folder, folder / "study.html")
    text = (folder / "study.html").read_text()
    assert "No trained model is scored yet" in text
    assert "No run has recorded its origin." in text


# Tells in the title how many pictures have not been decoded.
COUNT = """
addEventListener("load", () => {
  document.title = "broken " + [...document.images].filter(image => !image.naturalWidth).length;
});
"""


def browse(page: str, tmp_path: Path, script: str, *arguments: str) -> tuple[str, str]:
    """Open the page with a script at its end; returns the document after it ran and the browser's log."""
    path = tmp_path / "page.html"
    path.write_text(page.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    command = [CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", *arguments]
    done = subprocess.run([*command, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.skipif(not CHROMIUM, reason="no chromium: install Debian's package chromium")
def test_it_opens_in_a_browser_without_errors_or_broken_pictures(page, tmp_path):
    document, log = browse(page, tmp_path, COUNT)
    assert "<title>broken 0</title>" in document
    assert "CONSOLE" not in log, log


@pytest.mark.skipif(not CHROMIUM, reason="no chromium: install Debian's package chromium")
def test_the_check_above_would_see_an_error_and_a_broken_picture(page, tmp_path):
    broken = page.replace("</main>", '<img src="data:image/png;base64,AAAA" alt=""></main>')
    document, log = browse(broken, tmp_path, COUNT + "undefined_name();")
    assert "<title>broken 1</title>" in document
    assert "CONSOLE" in log


@pytest.mark.skipif(not CHROMIUM, reason="no chromium: install Debian's package chromium")
def test_the_slider_moves_and_switches_versions(page, tmp_path):
    script = """
    const get = name => document.querySelector(".slider ." + name);
    get("place").value = 30; get("place").dispatchEvent(new Event("input"));
    const before = get("over").src;
    get("left").value = 2; get("left").dispatchEvent(new Event("change"));
    document.title = get("over").style.clipPath + " " + (get("over").src !== before) + " " + get("left").options.length;
    """
    document, _ = browse(page, tmp_path, script)
    assert "<title>inset(0px 70% 0px 0px) true 7</title>" in document
