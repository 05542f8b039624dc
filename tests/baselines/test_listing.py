"""`python -m baselines list`."""

import sys

import pytest

from baselines.__main__ import main
from tests.helpers import assert_names


def run(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["baselines", "list", *arguments])
    main()


def test_every_network_has_a_row_with_its_costs(capsys, monkeypatch):
    run(monkeypatch, "edsr_baseline", "ipt_tiny", "ignn_tiny", "identity", "bicubic", "--task", "sr4")
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines[2:]}
    assert set(rows) == {"edsr_baseline", "ipt_tiny", "ignn_tiny", "identity", "bicubic"}
    assert rows["edsr_baseline"].split()[1:5] == ["1,517,571", "4.569", "G", "73x73"]
    assert_names(rows["edsr_baseline"], "1.5 M", "EDSR")
    assert "24x24" in rows["ipt_tiny"]
    assert_names(rows["identity"], "sr4")
    assert "G" not in rows["identity"].split(), "there is nothing to count"


@pytest.mark.parametrize(
    ("arguments", "named"), [(["edsr_huge"], ["'edsr_huge'", "edsr_tiny"]), (["--task", "sr7"], ["'sr7'", "sr2"])]
)
def test_unknown_names_are_refused(arguments, named, capsys, monkeypatch):
    with pytest.raises(SystemExit):
        run(monkeypatch, *arguments)
    assert_names(capsys.readouterr().err, *named)
