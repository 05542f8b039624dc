"""The networks that `benchmarks.instrument` trains are those of the reference experiment."""

from benchmarks import instrument


def test_the_config_still_has_the_networks_that_are_compared():
    models = {run.model for run in instrument.make_runs({"data": {"fixed_crops": 8}}).values()}
    assert models >= {"ipt", "rdn"}
