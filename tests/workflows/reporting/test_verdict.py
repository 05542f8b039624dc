from workflows.reporting.verdict import judge

AHEAD = {
    "ipt": ("ipt_tiny", 0.0, 1.0, 0.5),
    "ipt-contrastive": ("ipt_tiny", 0.1, 1.1, 0.5),
    "edsr": ("edsr_tiny", 0.0, 0.8, 0.1),
}
FLAT = {"ipt": ("ipt_tiny", 0.0, 0.8, 0.0), "edsr": ("edsr_tiny", 0.0, 0.9, 0.0)}


def test_a_crossing_is_told_with_its_interval(gathered):
    found = judge(*gathered(seeds=(0, 1, 2, 3), models=AHEAD, noise=0.01))
    assert found.overtaking.startswith("Data was limiting for IPT and IPT + contrastive, not for EDSR, on photos")
    assert "and each image was seen 533 to 107 times" in found.overtaking
    assert "IPT + contrastive overtakes EDSR at " in found.overtaking
    assert "95 % interval" in found.overtaking
    assert "4 seeds" in found.overtaking
    assert "it helps" in found.contrastive
    assert "its share of the gradient's norm was 14 %" in found.contrastive
    assert "all 60 runs of the grid are scored" in found.certainty


def test_with_one_seed_nothing_is_claimed(gathered):
    found = judge(*gathered(models=AHEAD))
    assert found.overtaking.startswith(
        "One seed each suggests that data was limiting for IPT and IPT + contrastive, not"
    )
    assert "one seed, so no interval" in found.overtaking
    assert "not evidence for or against it" in found.contrastive
    assert "helps" not in found.contrastive
    assert "Every number comes from one seed" in found.certainty


def test_data_that_was_not_limiting_is_said_instead_of_a_crossing(gathered):
    found = judge(*gathered(seeds=(0, 1, 2), models=FLAT, noise=0.01))
    assert found.overtaking.startswith("Data was not limiting on photos")
    assert "overtakes" not in found.overtaking
    assert "not tested here" in found.contrastive


def test_models_that_data_did_not_limit_have_no_crossing_by_data(gathered):
    models = {"ipt": FLAT["ipt"], "edsr": FLAT["edsr"], "rdn": ("rdn_tiny", 0.0, 0.5, 0.4)}
    found = judge(*gathered(seeds=(0, 1, 2), models=models, noise=0.005))
    assert "Data was limiting for RDN, not for IPT and EDSR, on photos" in found.overtaking
    assert "it limited neither IPT nor EDSR" in found.overtaking


def test_fractions_with_more_seeds_are_named_with_the_crossing(gathered):
    lost = [f"{model}-{percent}-seed-{seed}" for model in AHEAD for percent in (40, 80) for seed in (1, 2, 3)]
    found = judge(*gathered(seeds=(0, 1, 2, 3), models=AHEAD, noise=0.01, lost=lost))
    assert "4 seeds at 20 %, 60 % and 100 %)" in found.overtaking
    assert "so that points of one seed have none" in found.certainty


def test_missing_runs_are_counted(gathered):
    found = judge(*gathered(seeds=(0, 1), models=AHEAD, lost=["ipt-20-seed-0", "edsr-100-seed-1"]))
    assert "2 of 30 runs of the grid are missing" in found.certainty
    assert "1 to 2 seeds" in found.certainty


def test_the_largest_set_decides_and_the_paper_stands_beside(gathered):
    results, runs = gathered(seeds=(0, 1, 2), models=AHEAD, datasets=("Set5", "B100"))
    results = results[(results["dataset"] == "B100") | results["image"].isin(["cat", "rocket"])]
    found = judge(results, runs)
    assert found.dataset == "B100"
    assert "IPT at 32.48 dB on B100 (sr2), where ours reaches" in found.certainty


def test_an_empty_experiment_has_a_verdict_too(gathered):
    results, runs = gathered(models=AHEAD, fractions=(1.0,))
    found = judge(results.iloc[:0], runs.assign(status="missing"))
    assert "No trained model is scored yet" in found.overtaking
    assert "3 of 3 runs of the grid are missing" in found.certainty


def test_one_fraction_is_no_comparison_of_data(gathered):
    found = judge(*gathered(seeds=(0, 1), models=AHEAD, fractions=(1.0,)))
    assert "so data is not compared" in found.overtaking
