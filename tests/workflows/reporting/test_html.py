import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.helpers import ASK, CHROMIUM, MODELS, QUIET, analyse, browse, needs_browser, write_experiment, write_images
from workflows.reporting.claims import sentence
from workflows.reporting.html import sliders, write_html
from workflows.reporting.study import Study

NASTY = "it's a $(test) {x} [1]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """An experiment with what the page shows: two figures, a slider, a missing run, an image of a nasty name."""
    folder = tmp_path_factory.mktemp("page") / "small"
    names = write_experiment(folder, fractions=(0.2, 1.0), seeds=(0, 1), datasets=("photos", "Set5"), steps=400)
    config = yaml.safe_load((folder / "experiment.yaml").read_text())
    shown = [{"task": "sr2", "dataset": "photos", "image": image} for image in ("chelsea", NASTY)]
    config["report"] = {"comparisons": [shown[0], shown[1] | {"crop": [10, 20, 60, 40], "whole": False}]}
    (folder / "experiment.yaml").write_text(yaml.safe_dump(config))
    (folder / "runs" / "rdn-20-seed-1" / "metrics.csv").unlink()
    (folder / "runs" / "bicubic" / "metrics.json").write_text(json.dumps({"metrics_sha256": "7" * 64}))
    analyse(folder, names)
    for image in ("chelsea", NASTY):
        write_images(folder, [*(f"{model}-100-seed-0" for model in MODELS), "bicubic"], image)
    (folder / "figures").mkdir()
    for name, size in (("psnr_fraction", (1400, 500)), ("training_curves", (700, 600))):
        Image.new("RGB", size, "navy").save(folder / "figures" / f"{name}.png")
        (folder / "figures" / f"{name}.csv").write_text("a,b\n1,2\n")
    for name in ("ablations", "comparison-sr2-photos-coffee"):  # of an earlier config
        Image.new("RGB", (700, 600), "red").save(folder / "figures" / f"{name}.png")
    (folder / "learning_rates.csv").write_text("label,learning_rate\n")
    write_html(folder, folder / "page.html")
    return folder


@pytest.fixture(scope="module")
def page(folder) -> str:
    return (folder / "page.html").read_text(encoding="utf-8")


def test_nothing_is_loaded_from_elsewhere(page):
    addresses = re.findall(r"""(?:src|href)=["']([^"']*)""", page)
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_claims_stand_before_everything_else_and_each_set_has_its_own(page):
    parts = ("claims", "figures", "tables", "images", "protocol", "provenance")
    order = [page.index(f'id="{part}"') for part in parts]
    assert order == sorted(order)
    head = page[order[0] : order[1]]
    assert head.count("Claims on ") == 3  # two sets and held-out images
    assert head.count("<details><summary>Claims on ") == 2  # the first is open
    assert "`" not in head
    assert 'class="answer not tested"' in head or 'class="answer unresolved"' in head


def test_figures_come_with_caption_and_data(page):
    assert page.count("<figure") == 2
    assert page.count("card beside") == 1
    assert page.count('download="PSNR against the fraction of the training images.csv"') == 1


def test_figures_and_tables_of_an_earlier_config_are_not_shown(page):
    for title in ("Ablations.csv", "Image comparison", "How the learning rates were chosen"):
        assert title not in page


def test_missing_runs_are_named(page):
    assert "1 run is missing" in page
    assert "rdn-20-seed-1: not scored" in page


def test_every_run_states_its_provenance(page):
    assert page.count("<code>000000000000</code>") == 16
    assert page.count("<code>777777777777</code>") == 1
    assert page.count("0123456789ab<") == 16
    assert "a processor" in page


def test_a_slider_shows_bicubic_against_the_best_model_first(folder):
    shown, crop = sliders(Study(folder))
    names = [version["name"] for version in shown.versions]
    assert names[shown.left] == "bicubic"
    scores = {v["name"]: float(v["score"].split()[0]) for v in shown.versions if v["score"]}
    assert names[shown.right] == max((n for n in scores if n != "bicubic"), key=scores.get)
    assert re.fullmatch(r"\d\d\.\d\d dB / 0\.\d{4}", shown.versions[shown.left]["score"])
    assert NASTY in crop.title


def test_an_image_of_a_model_without_scores_is_not_shown(folder):
    study = Study(folder)
    study.results = study.results[study.results["model"] != "edsr"]
    assert len(sliders(study)[0].versions) == len(sliders(Study(folder))[0].versions) - 1


def test_names_cannot_inject_markup(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    runs = (copy / "runs.csv").read_text().replace(",EDSR,", ",<script>alert(1)</script>,")
    (copy / "runs.csv").write_text(runs)
    write_html(copy, copy / "page.html")
    text = (copy / "page.html").read_text()
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_an_experiment_without_figures_and_scores_has_a_page_without_empty_sections(tmp_path):
    folder = tmp_path / "bare"
    names = write_experiment(folder, fractions=(1.0,), steps=100)
    shutil.rmtree(folder / "runs")
    analyse(folder, names)
    write_html(folder, folder / "page.html")
    text = (folder / "page.html").read_text()
    assert 'id="protocol"' in text
    for part in ("claims", "figures", "images", "provenance"):
        assert f'id="{part}"' not in text
        assert f'href="#{part}"' not in text


@needs_browser
@pytest.mark.parametrize("width", [400, 800, 1400])
def test_it_opens_at_every_width_without_errors_broken_pictures_or_sideways_scrolling(page, tmp_path, width):
    # A frame is as narrow as asked for; a window is not.
    ask = ASK.replace("document.title =", "parent.document.title =")
    inner = json.dumps(page.replace("</body>", f"<script>{ask}</script></body>")).replace("</", "<\\/")
    frame = f'<title></title><iframe width="{width}" height="900" style="border: 0"></iframe>'
    frame += f"<script>document.querySelector('iframe').srcdoc = {inner};</script></body>"
    dark = "--blink-settings=preferredColorScheme=0" if width == 800 else "--blink-settings=preferredColorScheme=1"
    title, log = browse(frame, tmp_path, "", dark)
    broken, beyond, inside, ground = json.loads(title)
    assert (broken, inside) == (0, width)
    assert beyond <= 0
    assert (ground == "rgb(18, 22, 28)") == (width == 800)
    assert "CONSOLE" not in log, log


@needs_browser
def test_the_check_above_would_see_an_error_and_a_broken_picture(page, tmp_path):
    broken = page.replace("</main>", '<img src="data:image/png;base64,AAAA" alt=""><p style="width:99rem">w</p></main>')
    title, log = browse(broken, tmp_path, ASK + "undefined_name();", "--window-size=800,600")
    found = json.loads(title)
    assert found[0] == 1
    assert found[1] > 0
    assert "CONSOLE" in log


@needs_browser
def test_the_slider_moves_by_touch_and_by_its_input_and_switches_versions(page, tmp_path):
    script = """
    const get = name => document.querySelector(".slider ." + name);
    const told = [get("name-left").textContent, get("place").labels[0].textContent.trim()];
    get("place").value = 30; get("place").dispatchEvent(new Event("input"));
    told.push(get("over").style.clipPath);
    const box = get("stage").getBoundingClientRect();
    get("stage").setPointerCapture = () => {};
    const touch = {pointerId: 1, pointerType: "touch", clientX: box.left + box.width / 2, clientY: box.top + 5};
    get("stage").dispatchEvent(new PointerEvent("pointerdown", touch));
    told.push(get("place").value);
    const before = get("over").src;
    get("left").value = 2; get("left").dispatchEvent(new Event("change"));
    told.push(get("over").src !== before, get("name-left").textContent, get("left").options.length);
    document.title = JSON.stringify(told);
    """
    title, _ = browse(page, tmp_path, script)
    told = json.loads(title)
    assert told[0] == "bicubic"
    assert told[1]
    assert told[2] == "inset(0px 70% 0px 0px)"
    assert told[3:] == ["50", True, "IPT", 7]


@needs_browser
@pytest.mark.skipif(not shutil.which("pdftotext"), reason="no pdftotext: install Debian's poppler-utils")
def test_on_paper_nothing_is_cut_and_closed_claims_are_printed(folder, tmp_path):
    out = tmp_path / "page.pdf"
    command = [
        CHROMIUM,
        *QUIET,
        f"--user-data-dir={tmp_path / 'profile'}",
        "--no-pdf-header-footer",
        f"--print-to-pdf={out}",
    ]
    subprocess.run([*command, (folder / "page.html").as_uri()], capture_output=True, check=True, timeout=180)
    text = subprocess.run(["pdftotext", "-layout", out, "-"], capture_output=True, text=True, check=True).stdout
    pages = text.split("\f")
    assert len(pages) > 3
    # The last columns of the widest tables, and the claims of the second set.
    assert "7777" in text  # the last column of the widest table
    assert text.count("Claims on Set5, sr2") >= 1
    claims = Study(folder).table("claims")["claim"]
    assert text.count(sentence("data_limited", "").strip()) >= (claims == "data_limited").sum() > 5
    # No heading is the last thing on a page.
    for heading in ("Figures", "Tables", "Images", "Protocol", "Provenance"):
        assert not any(page.rstrip().endswith(heading) for page in pages)
