import json

import pandas as pd
import pytest
import yaml

from tests.helpers import assert_names, raises_naming
from workflows.analysis.__main__ import main
from workflows.analysis.collect import collect_results, collect_runs, missing
from workflows.analysis.records import ReportError, read_results, read_runs
from workflows.command_line import InputError
from workflows.config import grid


def collected(folder, names):
    arguments = ["collect", "--experiment-dir", str(folder), "--runs", *names]
    arguments += ["--out-results", str(folder / "results.csv"), "--out-runs", str(folder / "runs.csv")]
    assert main(arguments) == 0
    return read_results(folder / "results.csv"), read_runs(folder / "runs.csv")


def test_every_score_is_kept_digit_for_digit(experiment):
    folder, names = experiment(fractions=(0.2, 1.0))
    results = collect_results(folder, names)
    text = "".join((folder / "runs" / name / "metrics.csv").read_text().split("\n", 1)[1] for name in names)
    assert results.to_csv(index=False, header=False) == text


def test_side_by_side_windows_stay_in_the_main_table_and_are_named_with_the_protocol(experiment):
    folder, names = experiment(fractions=(1.0,))
    path = folder / "runs" / "ipt-100-seed-0" / "metrics.csv"
    pd.read_csv(path).assign(setting="side-by-side+bf16").to_csv(path, index=False)
    results, _ = collected(folder, names)
    rows = results[results["model"] == "ipt"]
    assert set(results["setting"]) == {"plain"}
    assert set(rows["protocol"]) == {"v1 side-by-side bf16"}


def test_a_method_from_outside_of_the_grid_is_marked_with_what_is_known_of_it(experiment):
    folder, names = experiment(fractions=(1.0,))
    config = yaml.safe_load((folder / "experiment.yaml").read_text())
    config["evaluation"] = {"methods": [{"name": "theirs", "label": "Theirs"}, {"name": "outputs", "label": None}]}
    (folder / "experiment.yaml").write_text(yaml.safe_dump(config))
    costs = {
        "theirs": {"parameters": 12, "macs_per_output_pixel": {"sr2": 3.5}},
        "outputs": {"parameters": None, "macs_per_output_pixel": None},
    }
    for method, known in costs.items():
        (folder / "runs" / method).mkdir()
        scored = pd.read_csv(folder / "runs" / "bicubic" / "metrics.csv").assign(model=method)
        scored.to_csv(folder / "runs" / method / "metrics.csv", index=False)
        facts = {"method": {**known, "training_data": "DF2K"}}
        (folder / "runs" / method / "metrics.json").write_text(json.dumps(facts))
    results, runs = collected(folder, [*names, "theirs", "outputs"])
    runs = runs.set_index("run")
    assert runs["kind"].value_counts().to_dict() == {"grid": 4, "method": 2, "reference": 1}
    assert list(runs.loc["theirs", ["label", "parameters", "macs_per_output_pixel_sr2", "training_data"]]) == [
        *("Theirs", 12, 3.5, "DF2K")
    ]
    assert runs.loc["outputs", "label"] == "outputs"
    assert runs.loc["outputs", ["parameters", "macs_per_output_pixel_sr2", "fraction", "seed"]].isna().all()
    assert results.loc[results["model"] == "theirs", "fraction"].isna().all()


def test_missing_runs_are_named_and_have_no_numbers(experiment, capsys):
    folder, names = experiment(fractions=(0.2, 1.0))
    (folder / "runs" / "edsr-20-seed-0" / "metrics.csv").unlink()
    results, runs = collected(folder, [*names, "ipt-20-seed-7"])
    assert list(missing(runs)["run"]) == ["edsr-20-seed-0", "ipt-20-seed-7"]
    assert list(missing(runs)["status"]) == ["not scored", "missing"]
    assert "missing: ipt-20-seed-7" in capsys.readouterr().err
    assert runs.set_index("run").loc["ipt-20-seed-7", ["steps", "patches", "training_l1"]].isna().all()
    assert not ((results["model"] == "edsr") & (results["fraction"] == 0.2)).any()


def test_scores_of_weights_that_are_gone_are_not_gathered(experiment):
    folder, names = experiment(fractions=(0.2,))
    (folder / "runs" / "edsr-20-seed-0" / "provenance.json").unlink()
    for name in ("ipt-20-seed-0", "rdn-20-seed-0"):
        record = {"weights_sha256": ("1" if name.startswith("ipt") else "0") * 64}
        (folder / "runs" / name / "metrics.json").write_text(json.dumps(record))
    results, runs = collected(folder, names)
    assert list(missing(runs)["run"] + ": " + missing(runs)["status"]) == [
        "ipt-20-seed-0: not scored",
        "edsr-20-seed-0: missing",
    ]
    assert set(results["model"]) == {"bicubic", "ipt-contrastive", "rdn"}


def test_a_runs_row_states_what_it_cost_and_where_it_ended(experiment):
    folder, names = experiment(fractions=(0.2,), tasks=("sr2", "dn30"), steps=1000)
    _, runs = collected(folder, names)
    run = runs.set_index("run").loc["ipt-contrastive-20-seed-0"]
    assert (run["images"], run["steps"], run["patches"], run["patches_dn30"]) == (60, 1000, 16000, 8000)
    assert run["crops_per_image"] == pytest.approx(16000 / 60, rel=1e-6)
    assert (run["contrastive"], run["formulation"], run["label"]) == (0.1, "supcon", "IPT + contrastive")
    log = pd.read_csv(folder / "runs" / "ipt-contrastive-20-seed-0" / "train.csv")
    last = log[["training_l1", "validation_l1"]].dropna().iloc[-1]
    assert run["training_l1"] == pytest.approx(last["training_l1"], rel=1e-6)
    assert run["gap"] == pytest.approx(log["gap"].dropna().iloc[-1], abs=1e-5)
    assert run["negatives"] == 14.9
    assert run["validation_l1"] == pytest.approx(log["validation_l1"].dropna().iloc[-1], rel=1e-6)
    assert run["train_hours"] == pytest.approx(1000 * 0.04 / 3600, rel=1e-6)


def test_twins_are_alike_in_all_but_the_contrastive_loss(experiment):
    folder, names = experiment(fractions=(0.2, 1.0), seeds=(0, 1))
    path = folder / "runs" / "ipt-contrastive-20-seed-0" / "provenance.json"
    provenance = json.loads(path.read_text())
    provenance["config"]["training"]["memory_mb"] = 9000
    path.write_text(json.dumps(provenance))
    runs = collect_runs(folder, names).set_index("run")
    assert runs.loc["ipt-20-seed-0", "twin"] == runs.loc["ipt-contrastive-20-seed-0", "twin"]
    provenance["config"]["training"]["learning_rate"] = 1e-3
    path.write_text(json.dumps(provenance))
    runs = collect_runs(folder, names).set_index("run")
    assert runs.loc["ipt-20-seed-0", "twin"] != runs.loc["ipt-contrastive-20-seed-0", "twin"]
    assert runs.loc["ipt-20-seed-0", "twin"] != runs.loc["edsr-20-seed-0", "twin"]


def test_another_runs_scores_are_refused(experiment):
    folder, names = experiment(fractions=(0.2, 1.0))
    path = folder / "runs" / "ipt-20-seed-0" / "metrics.csv"
    path.write_text((folder / "runs" / "ipt-100-seed-0" / "metrics.csv").read_text())
    with raises_naming(ReportError, path, "fraction", 1.0):
        collect_results(folder, names)


def test_a_broken_provenance_is_named(experiment, capsys):
    folder, names = experiment(fractions=(1.0,))
    (folder / "runs" / "rdn-100-seed-0" / "provenance.json").write_text('{"training": {}}')
    arguments = ["collect", "--experiment-dir", str(folder), "--runs", *names]
    arguments += ["--out-results", str(folder / "results.csv"), "--out-runs", str(folder / "runs.csv")]
    assert main(arguments) == 2
    assert "rdn-100-seed-0/provenance.json" in capsys.readouterr().err
    assert not (folder / "results.csv").exists()


def test_rows_that_stand_twice_are_refused(experiment):
    folder, names = experiment(fractions=(1.0,))
    collected(folder, names)
    path = folder / "results.csv"
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with raises_naming(ReportError, path, 1, "ipt", "sr2", "photos", "astronaut"):
        read_results(path)


def test_names_that_look_like_numbers_or_nothing_stay_text(experiment):
    folder, names = experiment(fractions=(1.0,))
    for name in names:
        path = folder / "runs" / name / "metrics.csv"
        path.write_text(path.read_text().replace(",astronaut,", ",001,").replace(",rocket,", ",NA,"))
    results, _ = collected(folder, names)
    assert {"001", "NA"} <= set(results["image"])


def test_ensembled_scores_are_collected_with_the_main_ones_while_the_config_asks_for_them(experiment):
    folder, names = experiment(fractions=(1.0,))
    metrics = pd.read_csv(folder / "runs" / "ipt-100-seed-0" / "metrics.csv")
    # Of an earlier version of the protocol, which cannot be mixed with any other.
    old = metrics.assign(setting="x8", protocol="v0")
    old.to_csv(folder / "runs" / "ipt-100-seed-0" / "metrics-x8.csv", index=False)
    assert set(collect_results(folder, names)["setting"]) == {"plain"}
    metrics.assign(setting="x8").to_csv(folder / "runs" / "ipt-100-seed-0" / "metrics-x8.csv", index=False)
    config = yaml.safe_load((folder / "experiment.yaml").read_text())
    (folder / "experiment.yaml").write_text(yaml.safe_dump(config | {"evaluation": {"ensembles": ["x8"]}}))
    assert (collect_results(folder, names)["setting"] == "x8").sum() == len(metrics)
    (folder / "experiment.yaml").unlink()
    assert (collect_results(folder, names)["setting"] == "x8").sum() == len(metrics)


def test_half_precision_stays_in_the_main_tables_which_name_it(experiment, tmp_path):
    folder, names = experiment(fractions=(1.0,))
    found = collect_results(folder, names)
    found.loc[found["model"] == "ipt", "setting"] = "bf16"
    found.loc[found["model"] == "edsr", "setting"] = "x8+bf16"
    found.to_csv(tmp_path / "results.csv", index=False)
    read = read_results(tmp_path / "results.csv").groupby("model")[["setting", "protocol"]].first()
    assert read.loc["ipt"].tolist() == ["plain", "v1 bf16"]
    assert read.loc["edsr"].tolist() == ["x8", "v1 bf16"]
    assert read.loc["rdn"].tolist() == ["plain", "v1"]


def rewrite(path, **training):
    provenance = json.loads(path.read_text())
    provenance["training"] |= training
    path.write_text(json.dumps(provenance))


def test_data_facts_are_columns_and_old_files_lack_them(experiment):
    folder, names = experiment(fractions=(0.2, 1.0), models={"edsr": ("edsr_tiny", 0.0, 0.9, 0.1)})
    facts = {"distinct_patches": 480, "patch_epochs": 66.7, "target_values": 3_317_760}
    facts |= {"target_values_per_parameter": 16.0, "matched": {"num_feat": 14, "num_block": 12}, "negatives": 12.7}
    rewrite(folder / "runs" / "edsr-20-seed-0" / "provenance.json", **facts)
    log = folder / "runs" / "edsr-20-seed-0" / "train.csv"
    pd.read_csv(log).assign(clipped_share=0.25).to_csv(log, index=False)
    _, runs = collected(folder, names)
    row = runs.set_index("run").loc["edsr-20-seed-0"]
    assert (row["distinct_patches"], row["target_values"], row["matched"]) == (
        480,
        3_317_760,
        "num_feat=14 num_block=12",
    )
    assert (row["patch_epochs"], row["negatives"], row["clipped_share"]) == (66.7, 12.7, 0.25)
    assert runs.set_index("run").loc["edsr-100-seed-0", [*facts, "clipped_share"]].isna().all()


def test_versions_of_the_protocol_are_never_mixed(experiment):
    folder, names = experiment(fractions=(1.0,))
    path = folder / "runs" / "ipt-100-seed-0" / "metrics.csv"
    path.write_text(path.read_text().replace(",v1,", ",v2 gray=matlab,"))
    with raises_naming(ReportError, "v1 (ipt-contrastive, edsr, rdn, bicubic)", "v2 gray=matlab (ipt)"):
        collect_results(folder, names)


def test_a_run_of_another_config_is_named(experiment):
    folder, names = experiment(fractions=(1.0,))
    path = folder / "runs" / "edsr-100-seed-0" / "provenance.json"
    own = grid.read(folder / "experiment.yaml").trainings()["edsr-100-seed-0"].digest
    path.write_text(json.dumps(json.loads(path.read_text()) | {"digest": own}))
    assert len(collect_runs(folder, names)) == len(names)
    config = yaml.safe_load((folder / "experiment.yaml").read_text())
    config["training"]["learning_rate"] = 0.01
    (folder / "experiment.yaml").write_text(yaml.safe_dump(config))
    with raises_naming(ReportError, path, "edsr-100-seed-0"):
        collect_runs(folder, names)


def test_protocols_may_differ_between_sets_but_not_on_one(experiment):
    folder, names = experiment(fractions=(1.0,))
    paths = [folder / "runs" / name / "metrics.csv" for name in names]
    for path in paths:
        lines = path.read_text().splitlines()
        second = [line.replace(",photos,", ",second,").replace(",v1,", ",v1 bicubic=float,") for line in lines[1:]]
        path.write_text("\n".join([*lines, *second, ""]))
    assert set(collect_results(folder, names)["protocol"]) == {"v1", "v1 bicubic=float"}
    paths[0].write_text(paths[0].read_text().replace(",v1 bicubic=float,", ",v1,"))
    with raises_naming(ReportError, "v1 bicubic=float", "v1"):
        collect_results(folder, names)


def test_labels_are_one_line_each_and_methods_are_marked(experiment):
    folder, names = experiment(fractions=(1.0,))
    config = yaml.safe_load((folder / "experiment.yaml").read_text())
    config["models"][0]["label"] = "IPT\n| > 3"
    config["evaluation"] = {"methods": [{"name": "rcan", "label": "RCAN", "restored": "folder"}]}
    (folder / "experiment.yaml").write_text(yaml.safe_dump(config))
    (folder / "runs" / "rcan").mkdir()
    (folder / "runs" / "bicubic" / "metrics.csv").replace(folder / "runs" / "rcan" / "metrics.csv")
    path = folder / "runs" / "rcan" / "metrics.csv"
    path.write_text(path.read_text().replace("bicubic", "rcan"))
    _, runs = collected(folder, [*names, "rcan"])
    assert runs["kind"].value_counts().to_dict() == {"grid": 4, "reference": 1, "method": 1}
    assert runs.set_index("run").loc[["ipt-100-seed-0", "rcan"], "label"].tolist() == ["IPT | > 3", "RCAN"]


def test_subjects_of_the_claims_are_marked_where_the_config_names_some(experiment):
    folder, names = experiment(fractions=(1.0,))
    assert "subject" not in collect_runs(folder, names)
    config = yaml.safe_load((folder / "experiment.yaml").read_text())
    (folder / "experiment.yaml").write_text(yaml.safe_dump(config | {"report": {"subjects": ["edsr"]}}))
    asked = collect_runs(folder, names).set_index("run")["subject"]
    assert set(asked[asked == "yes"].index) == {"edsr-100-seed-0"}


def test_a_subject_may_be_named_like_a_fine_tuned_network(experiment):
    models = {"ipt": ("ipt_tiny", 0.0, 0.8, 0.1), "net-ft": ("edsr_tiny", 0.0, 0.9, 0.1)}
    folder, names = experiment(fractions=(1.0,), models=models)
    config = yaml.safe_load((folder / "experiment.yaml").read_text())
    (folder / "experiment.yaml").write_text(yaml.safe_dump(config | {"report": {"subjects": ["net-ft"]}}))
    asked = collect_runs(folder, names).set_index("run")["subject"]
    assert set(asked[asked == "yes"].index) == {"net-ft-100-seed-0"}


def test_what_a_missing_run_was_to_be_trained_on_is_known(experiment):
    folder, names = experiment(fractions=(1.0,), tasks=("dn30",))
    runs = collect_runs(folder, [*names, "ipt-50-seed-0"]).set_index("run")
    assert (runs.loc["ipt-50-seed-0", "tasks"], runs.loc["ipt-50-seed-0", "status"]) == ("dn30", "missing")


def test_a_folder_without_an_experiment_is_refused(tmp_path, capsys):
    out = ["--out-results", str(tmp_path / "results.csv"), "--out-runs", str(tmp_path / "runs.csv")]
    assert main(["collect", "--experiment-dir", str(tmp_path / "nowhere"), "--runs", "bicubic", *out]) == 2
    assert_names(capsys.readouterr().err, "error", tmp_path / "nowhere", "experiment.yaml")
    assert not [*tmp_path.iterdir()]


def test_each_run_and_each_table_is_named_once(experiment, capsys):
    folder, names = experiment(fractions=(1.0,))
    call = ["collect", "--experiment-dir", str(folder), "--out-results", str(folder / "a.csv")]
    assert main([*call, "--runs", *names, "--out-runs", str(folder / "runs" / ".." / "a.csv")]) == 2
    assert_names(capsys.readouterr().err, "error", "--out-results", "--out-runs")
    assert main([*call, "--runs", *names, "bicubic", "--out-runs", str(folder / "b.csv")]) == 2
    assert_names(capsys.readouterr().err, "error", "--runs", "bicubic")
    assert not (folder / "a.csv").exists()


@pytest.mark.parametrize("file", ["metrics.csv", "train.csv", "provenance.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'"', b"[1]\n"])
def test_a_damaged_file_of_a_run_is_named(experiment, capsys, file, content):
    folder, names = experiment(fractions=(1.0,))
    path = folder / "runs" / names[0] / file
    path.write_bytes(content)
    arguments = ["--out-results", str(folder / "results.csv"), "--out-runs", str(folder / "runs.csv")]
    if (file, content) == ("train.csv", b"[1]\n"):
        return  # a table of other columns, which older versions wrote
    assert main(["collect", "--experiment-dir", str(folder), "--runs", *names, *arguments]) == 2
    printed = capsys.readouterr().err
    assert_names(printed, "error", path)
    assert printed.count("\n") == 1


def test_a_score_that_is_no_number_is_named(experiment):
    folder, names = experiment(fractions=(1.0,))
    path = folder / "runs" / names[0] / "metrics.csv"
    for column in ("psnr_y", "fraction"):
        whole = path.read_text()
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table.loc[2, column] = "much"
        table.to_csv(path, index=False)
        with raises_naming(InputError, path, column, "'much'", "line 4"):
            collect_results(folder, names)
        path.write_text(whole)
