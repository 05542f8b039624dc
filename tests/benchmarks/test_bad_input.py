"""A benchmark that is given what it cannot use ends with status 2 and one line, as all commands do."""

import runpy
import sys

import pytest


@pytest.mark.parametrize(
    ("benchmark", "arguments", "named"),
    [
        ("attention_use", ["--checkpoints", "missing.safetensors"], "missing.safetensors"),
        ("demo", ["."], "."),
        ("engine", ["--root", "missing"], "missing"),
        ("input_pipeline", ["--root", "missing"], "missing"),
        ("instrument", ["--root", "missing", "--data-root", "missing"], "missing"),
        ("jpeg", ["--checkpoint", "missing.safetensors"], "missing.safetensors"),
        ("large_images", ["--model", "unknown"], "unknown"),
        ("rounding", ["--checkpoints", "missing.safetensors"], "missing.safetensors"),
        ("scoring", ["--data-root", "missing"], "missing"),
        ("stride", ["--checkpoints", "missing.safetensors"], "missing.safetensors"),
    ],
)
def test_bad_input_is_named_in_the_last_line(benchmark, arguments, named, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [benchmark, *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"benchmarks.{benchmark}", run_name="__main__", alter_sys=True)
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert named in errors[errors.index("error: ") :]
