"""`python -m baselines list`."""

from baselines.__main__ import print_table
from baselines.variants import VARIANTS


def test_every_network_has_a_row_with_its_costs(capsys):
    print_table("sr4")
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines[2:]}
    assert set(rows) == {*VARIANTS, "ipt_tiny", "ipt_small", "ipt_base"}
    assert "1,517,571" in rows["edsr_baseline"]
    assert "1.5 M (EDSR, table 1)" in rows["edsr_baseline"]
    assert "73x73" in rows["edsr_baseline"]
    assert "49,473,821" in rows["ignn"]
    assert "cannot restore sr4" in rows["identity"]
