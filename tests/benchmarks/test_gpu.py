"""`python -m benchmarks.gpu` on a CPU, with packages blocked that an offline machine lacks; and its parts by themselves."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.gpu.__main__ import main
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.computer import Computer, WorkerError
from benchmarks.gpu.kernels import kernel_class
from benchmarks.gpu.record import Record
from benchmarks.gpu.registry import CHECKS, FAILED, NOT_APPLICABLE, OK, at_least, at_most, number
from tests.helpers import assert_names

ROOT = Path(__file__).parents[2]
# Locked packages that the packed folder for an offline machine does not bring. (timm brings huggingface_hub.)
LACKING = (
    "snakemake",
    "yte",
    "pooch",
    "pyarrow",
    "spandrel",
    "wandb",
    "docutils",
    "pulp",
)
BLOCKER = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {LACKING}:
            raise ModuleNotFoundError(f"no package {{name}} on an offline machine", name=name)
sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    """Runs the command as on the offline machine; its exit status and what it printed."""
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(BLOCKER)
    out = tmp_path_factory.mktemp("proof") / "gpu.csv"
    environment = os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}

    def run(*options: str) -> tuple[int, str, Path]:
        words = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--out", str(out), *options]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, cwd=ROOT)
        return done.returncode, done.stdout + done.stderr, out

    return run


@pytest.fixture(scope="module")
def proof(call):
    return call()


# Those that take a second or two; the others train, compile or start processes, and run in `make rehearse-gpu`.
QUICK = ("networks", "degradations", "scoring", "contrastive", "claims", "speed-ipt_small", "kernels", "speed-authors")
QUICK += ("attention", "images", "feeding")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench("cpu", tmp_path_factory.mktemp("bench"))


@pytest.mark.parametrize("name", QUICK)
def test_a_check_runs_on_a_cpu(bench, tmp_path, name):
    threads, bench.folder = torch.get_num_threads(), tmp_path
    try:
        lines = list(CHECKS[name].run(bench))
    finally:
        bench.reset()
        torch.set_num_threads(threads)
    assert {line.state for line in lines} <= {OK, NOT_APPLICABLE}, lines
    assert OK in {line.state for line in lines}


@pytest.mark.slow
def test_every_check_runs_on_a_cpu_and_none_fails(proof):
    status, said, out = proof
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert [row for row in rows if row["state"] == FAILED] == [], said
    assert status == 0
    assert {row["check"] for row in rows} == set(CHECKS)
    assert {row["state"] for row in rows} == {OK, NOT_APPLICABLE}
    numbers = [row for row in rows if row["state"] == OK]
    assert all(row["value"] for row in numbers)
    assert {row["card"] for row in rows} == {"cpu"}
    facts = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))["facts"]
    assert {"card", "driver", "torch", "commit", "code"} <= facts.keys()


@pytest.mark.slow
def test_finished_checks_are_kept(proof, call):
    status, said, _ = call()
    assert status == 0
    assert said.count("kept: ") == len(CHECKS)


@pytest.mark.slow
def test_the_list_and_wrong_names_cost_no_torch(call, capsys):
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(CHECKS)
    with pytest.raises(SystemExit, match="2"):
        main(["--only", "network"])
    assert_names(capsys.readouterr().err, "network", "networks")
    code = "import sys, benchmarks.gpu.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_without_a_card_it_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert main(["--only", "claims", "--out", str(tmp_path / "gpu.csv")]) == 2
    assert_names(capsys.readouterr().err, "CUDA")
    assert not (tmp_path / "gpu.csv").exists()


FAKE = """
import json, os, sys, time
print(json.dumps({"facts": {}}), flush=True)
for name in map(str.strip, sys.stdin):
    print(json.dumps({"line": {"subject": "first"}}), flush=True)
    if name == "dies": os._exit(9)
    if name == "hangs": time.sleep(600)
    print(json.dumps({"finished": name}), flush=True)
"""


def test_a_check_that_dies_or_hangs_costs_itself_alone(tmp_path):
    with Computer("cpu", tmp_path / "log", (sys.executable, "-c", FAKE)) as computer:
        computer.start()
        later = time.time() + 60
        assert computer.run("well", later, print) == [{"subject": "first"}]
        first, last = computer.run("dies", later, print)
        assert (first["subject"], last["state"]) == ("first", FAILED)
        assert "status 9" in last["note"]
        assert computer.run("hangs", time.time() + 2, print)[-1]["note"] == "it took too long and was stopped"
        assert computer.run("well", later, print) == [{"subject": "first"}]


def test_a_worker_that_cannot_start_is_an_error(tmp_path):
    says = "import json; print(json.dumps({'error': 'no card'}))"
    with Computer("cuda", tmp_path / "log", (sys.executable, "-c", says)) as computer, pytest.raises(WorkerError):
        computer.start()


FACTS = {"card": "NVIDIA H100", "torch": "2.11.0", "code": "abc"}


def test_checks_are_kept_for_the_same_card_and_code_alone(tmp_path):
    record = Record(tmp_path / "gpu.csv")
    assert record.resume(FACTS) == set()
    record.add("networks", [at_most("a", 1, 2).as_dict()], 1.0)
    record.add("repeat", [at_most("b", 3, 2).as_dict()], 1.0)
    assert Record(tmp_path / "gpu.csv").resume(FACTS) == {"networks"}, "a failed check is repeated"
    for key in FACTS:
        assert Record(tmp_path / "gpu.csv").resume(FACTS | {key: "other"}) == set()
    (tmp_path / "gpu.json").write_text("{")
    assert Record(tmp_path / "gpu.csv").resume(FACTS) == set()


def test_bounds_hold_and_nothing_passes_as_nan():
    nan = float("nan")
    assert [at_most("", value, 1).state for value in (1, 1.1, nan)] == [OK, FAILED, FAILED]
    assert [at_least("", value, 1).state for value in (1, 0.9, nan)] == [OK, FAILED, FAILED]
    assert [number("", value, "").state for value in (1, nan, float("inf"))] == [OK, FAILED, FAILED]


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("void flash_bwd_dq_dk_dv_loop_kernel<Flash_bwd_kernel_traits<64, 128>>", "attention"),
        ("sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_warpgroupsize1x1x1", "matrix product"),
        ("nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_TNT", "matrix product"),
        ("sm80_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc", "convolution"),
        ("void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<float, float>", "normalisation"),
        ("void at::native::(anonymous namespace)::multi_tensor_apply_kernel<FusedAdamMathFunctor>", "optimizer"),
        ("void at::native::vectorized_elementwise_kernel<4, threshold_kernel_impl>", "elementwise"),
        ("triton_poi_fused_add_relu_3", "compiled"),
        ("Memcpy DtoD (Device -> Device)", "copies and casts"),
        ("something new", "other"),
    ],
)
def test_kernels_are_classed_by_name(kernel, kind):
    assert kernel_class(kernel) == kind
