"""`python -m baselines list`."""

import sys

import pytest

from baselines.__main__ import main


def run(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["baselines", "list", *arguments])
    main()


def test_every_network_has_a_row_with_its_costs(capsys, monkeypatch):
    run(monkeypatch, "edsr_baseline", "ipt_tiny", "ignn_tiny", "identity", "bicubic", "--task", "sr4")
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines[2:]}
    assert set(rows) == {"edsr_baseline", "ipt_tiny", "ignn_tiny", "identity", "bicubic"}
    assert rows["edsr_baseline"].split()[1:5] == ["1,517,571", "4.569", "G", "73x73"]
    assert "1.5 M (EDSR, table 1)" in rows["edsr_baseline"]
    assert "24x24" in rows["ipt_tiny"]
    assert "cannot restore sr4" in rows["identity"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["edsr_huge"], "unknown network 'edsr_huge'"), (["--task", "sr7"], "unknown task 'sr7'")],
)
def test_unknown_names_are_refused(arguments, message, capsys, monkeypatch):
    with pytest.raises(SystemExit):
        run(monkeypatch, *arguments)
    assert message in capsys.readouterr().err
