"""`python -m baselines list`."""

import pytest

from baselines.__main__ import main
from tests.helpers import assert_names


def test_every_network_has_a_row_with_its_costs(capsys):
    assert main(["list", "edsr_baseline", "ipt_tiny", "ignn_tiny", "identity", "bicubic", "--task", "sr4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines[2:]}
    assert set(rows) == {"edsr_baseline", "ipt_tiny", "ignn_tiny", "identity", "bicubic"}
    assert rows["edsr_baseline"].split()[1:5] == ["1,517,571", "4.569", "G", "73x73"]
    assert_names(rows["edsr_baseline"], "1.5 M", "EDSR")
    assert "24x24" in rows["ipt_tiny"]
    assert_names(rows["identity"], "sr4")
    assert "G" not in rows["identity"].split(), "there is nothing to count"


def test_a_network_of_the_user_s_that_fails_is_an_error_and_the_others_have_their_rows(tmp_path, capsys):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Conv2d):\n"
        "    def __init__(self):\n"
        "        super().__init__(3, 3, 1)\n"
        "    def forward(self, x):\n"
        "        raise RuntimeError('takes multiples of 32')\n"
    )
    own = f"{tmp_path}/net.py"
    assert main(["list", f"{own}:Net", f"{own}:Nope", "identity", "--task", "dn30"]) == 2
    shown = capsys.readouterr()
    assert_names(shown.out.splitlines()[-1], "identity", "1x1")
    assert "net.py" not in shown.out
    (error,) = shown.err.splitlines()
    assert_names(error, "error: ", f"'{own}:Net'", "takes multiples of 32", f"'{own}:Nope'", "'Nope'")
    assert main(["list", f"{own}:Nope"]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["edsr_huge"], ["'edsr_huge'", "edsr_tiny"]),
        (["--task", "sr7"], ["'sr7'", "sr2"]),
        (["edsr_tiny", "absent.py:Net"], ["'absent.py:Net'", "absent.py"]),
    ],
)
def test_unknown_names_are_refused(arguments, named, capsys):
    assert main(["list", *arguments]) == 2
    assert_names(capsys.readouterr().err, "error", *named)


def test_an_interrupted_list_says_so(capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("baselines.cost.build_shape", interrupt)
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
