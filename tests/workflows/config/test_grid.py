"""A config expands into the grid that it says, and a mistake is told completely before anything runs."""

import copy
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.helpers import raises_naming
from workflows.config import grid, key_docs
from workflows.config.grid import parse
from workflows.config.messages import ConfigError

ROOT = Path(__file__).parents[3]
CONFIGS = sorted(ROOT.glob("config/**/*.yaml"))

SMALL = {
    "name": "small",
    "seeds": [0, 1],
    "fractions": [0.2, 1.0],
    "models": [
        {"name": "edsr", "variant": "edsr_tiny", "training": {"learning_rate": 0.002}},
        {"name": "ipt", "variant": "ipt_tiny"},
        {"name": "ipt-contrastive", "variant": "ipt_tiny", "contrastive": {"weight": 0.1}},
    ],
    "training": {"budget": {"steps": 10}, "patch_size": 24},
}


def changed(**changes) -> dict:
    config = copy.deepcopy(SMALL)
    for path, value in changes.items():
        *parents, last = path.split("__")
        section = config
        for key in parents:
            section = section[int(key)] if key.isdigit() else section.setdefault(key, {})
        section[last] = value
    return config


def test_grid_is_models_times_fractions_times_seeds():
    runs = parse(SMALL).runs()
    assert len(runs) == 3 * 2 * 2
    assert list(runs)[:4] == ["edsr-20-seed-0", "edsr-20-seed-1", "edsr-100-seed-0", "edsr-100-seed-1"]
    run = runs["edsr-20-seed-1"]
    assert (run.model, run.fraction, run.seed, run.training.learning_rate) == ("edsr", 0.2, 1, 0.002)
    assert runs["ipt-20-seed-1"].training.learning_rate == 5e-5


def test_some_fractions_may_have_more_seeds():
    config = parse(changed(seeds=[0], fractions=[0.01, 0.1, 1.0], more_seeds={0.01: [1, 2], 1.0: [1]}))
    names = [run.name.removeprefix("edsr-") for run in config.runs().values() if run.model == "edsr"]
    assert names == ["1-seed-0", "1-seed-1", "1-seed-2", "10-seed-0", "100-seed-0", "100-seed-1"]
    assert config.seeds_at(0.1) == [0]


def test_learning_rates_are_tried_at_the_smallest_and_the_largest_fraction_with_seeds_of_their_own():
    config = parse(
        changed(fractions=[0.2, 0.5, 1.0], models__0__learning_rates=[0.001, 0.01], trial_seeds=[1000, 1001])
    )
    trials = config.trials()
    assert list(trials) == [
        f"edsr-lr-{rate}-{percent}-seed-{seed}"
        for rate in (0.001, 0.01)
        for percent in (20, 100)
        for seed in (1000, 1001)
    ]
    assert trials["edsr-lr-0.01-20-seed-1000"].training.learning_rate == 0.01
    assert not trials.keys() & config.runs().keys()
    assert config.trainings() == {**config.runs(), **trials}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"models__0__learning_rates": [0.001, 0.01], "models__1__learning_rates": [0.001]},
            ["learning_rates", "edsr 2", "ipt 1"],
        ),
        ({"models__0__learning_rates": [0.001], "trial_seeds": [9, 1]}, ["trial_seeds", 1]),
        ({"fractoins": [0.2]}, ["fractoins", "'fractions'", "name", "seeds"]),
        ({"training__bach_size": 3}, ["training.bach_size", "'batch_size'"]),
        ({"models__0__trainng": {}}, ["models[0].trainng", "'training'"]),
        ({"models__0__training": {"stpes": 3}}, ["'edsr'", "training.stpes", "budget"]),
        ({"models__0__training": {"batch_size": "many"}}, ["'edsr'", "training.batch_size", "'many'"]),
        ({"seeds": "three"}, ["seeds", "'three'"]),
        ({"fractions": [0.2, 20]}, ["fractions[1]", 20, 1, 0.2]),
        ({"fractions": [-0.1]}, ["fractions[0]", -0.1, 0]),
        ({"more_seeds": {0.3: [2]}}, ["more_seeds", 0.3, 0.2, 1]),
        ({"more_seeds": {1.0: [1, 2]}}, ["more_seeds", "seed 1", "`seeds`"]),
        ({"more_seeds": {1.0: []}}, ["more_seeds.1.0", []]),
        ({"more_seeds": {"all": [2]}}, ["more_seeds.all"]),
        ({"fractions": [0.2, 0.2 + 1e-12]}, ["fractions", 0.2]),
        ({"fractions": [1e-7]}, ["fractions[0]", 1e-7]),
        ({"fractions": [0.3333333, 1.0]}, ["fractions", 0.3333333, 0.333333]),
        ({"models__0__contrastive": {"temperature": 0.001}}, ["temperature", 0.001, 0.003]),
        ({"seeds": [2**64]}, ["seeds[0]", 2**64, 2**32 - 1]),
        ({"training__threads": 2**40}, ["training.threads", 2**40, 1024]),
        ({"training__threads": True}, ["training.threads", True]),
        ({"training__threads": "2"}, ["training.threads", "'2'"]),
        ({"training__budget": {"epochs": float("inf")}}, ["training.budget.epochs", "inf"]),
        ({"data__root": "~no-such-user/x"}, ["data.root", "'~no-such-user/x'"]),
        ({"name": "x" * 300}, ["name", 100]),
        ({"models__1__label": "a\nb"}, ["models[1].label", r"'a\nb'"]),
        ({"data__validation": 300}, ["validation", 300]),
        ({"data__size": 64, "training__patch_size": 48}, ["training.patch_size", 48]),
        ({"data__size": 64, "tasks": ["sr3"]}, ["data.size", 64, 72]),
        (
            {"models__2__contrastive": {"weight": 0.1}, "training__batch_size": 1},
            ["'ipt-contrastive'", "training.batch_size", 1, 2],
        ),
        ({"fractions": [0.2, 0.2]}, ["fractions", 0.2]),
        ({"models__1__variant": "ipt_tyni"}, ["models[1].variant", "'ipt_tyni'", "'ipt_tiny'", "edsr_tiny"]),
        ({"models__0__variant": "bicubic"}, ["models[0].variant", "'bicubic'", "edsr_tiny"]),
        ({"models__2__name": "ipt"}, ["models", "'ipt'"]),
        ({"models__2__contrastive": {"weight": 0}}, ["models", "'ipt'", "'ipt-contrastive'"]),
        ({"models__2__name": "bicubic"}, ["models", "'bicubic'"]),
        ({"models__1__label": "edsr"}, ["models", "'ipt'", "'edsr'"]),
        ({"models__0__label": "A  B", "models__2__label": "A B"}, ["models", "'edsr'", "'A B'", "'ipt-contrastive'"]),
        ({"models__0__label": "bicubic"}, ["models", "'edsr'", "'bicubic'"]),
        ({"finetune": {"data": {}}, "models__0__label": "ipt, fine-tuned"}, ["models", "'edsr'", "'ipt-ft'"]),
        ({"models__2__name": "identity"}, ["models", "'identity'"]),
        ({"models__2__name": "a/b"}, ["models[2].name", "a/b"]),
        ({"models__0__contrastive": {"weight": 0.1}}, ["models[0]", "edsr_tiny", "ipt_tiny"]),
        ({"tasks": ["sr5"]}, ["tasks[0]", "'sr5'", "sr2", "dn<sigma>"]),
        ({"tasks": ["sr2", "dn30"]}, ["'edsr'", "sr2, dn30"]),
        ({"models__0__tasks": ["sr2", "sr3"]}, ["'edsr'", "sr2, sr3", "`tasks`"]),
        ({"models__0__tasks": ["sr3"], "evaluation__tasks": ["sr2"]}, ["'edsr'", "sr3", "sr2"]),
        ({"evaluation__sets": ["photo"]}, ["evaluation.sets[0]", "'photo'", "'photos'"]),
        ({"evaluation__tasks": ["dn0"]}, ["evaluation.tasks[0]", "'dn0'"]),
        ({"data__source": "image_folder"}, ["data", "`root`", "`source: image_folder`"]),
        ({"training__budget": {"steps": 3, "epochs": 1}}, ["training.budget", {"steps": 3, "epochs": 1}]),
        ({"training__devices": 3}, ["'edsr'", "training.batch_size", 16, "devices 3"]),
        (
            {"models__0__training": {"gradient_checkpointing": True}},
            ["'edsr'", "training.gradient_checkpointing", "'edsr_tiny'", "ipt_base", "rdn_tiny"],
        ),
        ({"models__2__contrastive": {"group_size": 3}}, ["'ipt-contrastive'", "contrastive.group_size 3", 16]),
        ({"training__ema": 1.0}, ["training.ema", 1.0]),
        ({"training__compile": "graphs"}, ["training.compile", "'graphs'", "true", "'cuda-graphs'"]),
        (
            {"training__compile": "cuda-graphs", "training__accelerator": "cpu"},
            ["'edsr'", "training.compile", "cuda-graphs", "training.accelerator", "cpu"],
        ),
        (
            {"models__1__training": {"compile": "cuda-graphs"}, "training__accelerator": "cpu"},
            ["'ipt'", "training.compile", "training.accelerator"],
        ),
        (
            {"training__compile": "cuda-graphs", "training__devices": 2, "training__micro_batch_size": 4},
            ["'edsr'", "training.compile", "cuda-graphs", "training.micro_batch_size 4"],
        ),
        ({"models__2__training": {"compile": "cuda-graphs"}}, ["'ipt-contrastive'", "cuda-graphs", "contrastive"]),
        ({"training__patch_size": 48}, ["'ipt'", "24", "training.patch_size", "48"]),
        ({"models__1__kwargs": {"dept": 2}}, ["'ipt'", "kwargs.dept", "'depth'"]),
        ({"models__0__kwargs": {"num_blok": 2}}, ["'edsr'", "kwargs.num_blok", "'num_block'"]),
        ({"evaluation__tasks": ["sr2", "dn30"]}, ["evaluation.tasks", "sr2", "dn30"]),
        ({"evaluation__download": True}, ["evaluation", "`download`", "`data_root`"]),
        ({"fractions": [0, 1.0]}, ["fractions", 0, "`finetune`"]),
        ({"finetune": {"data": {}, "task": "sr3"}}, ["finetune.task", "'sr3'", "sr2"]),
        ({"finetune": {"task": "sr2"}}, ["finetune.data"]),
        ({"finetune": {"data": {"cuont": 3}}}, ["finetune.data.cuont", "'count'"]),
        ({"data": {"source": "image_folder"}}, ["`root`", "missing", "`source: image_folder`"]),
        ({"data": {"source": "image_folder", "root": "x", "count": 20}}, ["`count`", "`source: dead_leaves`"]),
        ({"data": {"source": "image_folder", "root": "x", "size": 96}}, ["`size`", "`source: dead_leaves`"]),
        ({"training__warmup_steps": 10}, ["training.warmup_steps", "'edsr'", 10]),
        ({"models__1__training": {"budget": {"patches": 64}, "warmup_steps": 4}}, ["'ipt'", 4]),
        ({"finetune": {"data": {}, "training": {"stpes": 3}}}, ["'edsr'", "finetune.training.stpes", "budget"]),
        ({"finetune": {"data": {}, "training": {"patch_size": 48}}}, ["'ipt'", 24, "finetune.training.patch_size", 48]),
        (
            {"finetune": {"data": {}, "training": {"batch_size": 3, "devices": 2}}},
            ["'edsr'", "finetune.training.batch_size", 3, "devices 2"],
        ),
        ({"finetune": {"data": {}}, "models__0__name": "ipt-ft"}, ["models", "'ipt-ft'", "'ipt'"]),
        (
            {"finetune": {"data": {}}, "evaluation": {"methods": [{"name": "ipt-ft", "restored": "outputs"}]}},
            ["evaluation.methods", "'ipt-ft'", "'ipt'"],
        ),
        (
            {"tasks": ["sr2", "dn30"], "models": [{"name": "ipt", "variant": "ipt_tiny"}], "finetune": {"data": {}}},
            ["finetune.task", "sr2, dn30"],
        ),
        ({"report__subjects": ["ipd"]}, ["report.subjects", "'ipd'", "'ipt'"]),
        (
            {"report__comparisons": [{"dataset": "Set5", "image": "baby", "task": "sr2"}]},
            ["report.comparisons", "'baby'", "Set5", "photos"],
        ),
        (
            {
                "evaluation": {"tasks": ["sr2", "dr"], "sets": ["photos", "Rain100L"]},
                "models__0__tasks": ["dr"],
                "report__comparisons": [{"dataset": "Rain100L", "image": "rain-001", "task": "sr2"}],
            },
            ["report.comparisons", "'rain-001'", "Rain100L", "sr2"],
        ),
    ],
)
def test_mistake_is_reported_with_key_value_and_what_is_allowed(changes, named):
    with raises_naming(ConfigError, *named):
        parse(changed(**changes))


def test_graphs_of_whole_batches_are_allowed_on_a_gpu():
    models = [{"name": "ipt", "variant": "ipt_tiny"}]
    for rows in ({}, {"micro_batch_size": 8, "devices": 2}, {"micro_batch_size": 16}):
        parse(changed(models=models, training={"compile": "cuda-graphs", "patch_size": 24, **rows}))


@pytest.mark.parametrize("recipe", [{"batch_size": 1}, {"batch_size": 6}, {"compile": "cuda-graphs"}])
def test_a_contrastive_loss_asks_nothing_of_fine_tuning_which_does_not_use_it(recipe):
    contrastive = {"weight": 0.1, "group_size": 8}
    parse(changed(models__2__contrastive=contrastive, finetune={"data": {}, "training": recipe}))


def test_unseen_noise_levels_are_scored_by_the_nearest_head():
    config = parse(changed(tasks=["dn30"], evaluation__tasks=["dn10", "dn30", "dn70"], evaluation__references=[]))
    assert config.scored_tasks == ["dn10", "dn30", "dn70"]


def test_finetuning_adds_a_run_to_each_with_the_second_stages_data_task_and_recipe():
    second = {"data": {"count": 13}, "training": {"learning_rate": 2e-5, "budget": {"epochs": 3}}}
    before, experiment = parse(SMALL), parse(changed(finetune=second))
    runs = experiment.runs()
    assert list(runs)[: 3 * 2 * 2] == list(before.runs())
    assert len(runs) == 2 * 3 * 2 * 2
    assert all(runs[name].digest == run.digest for name, run in before.runs().items())
    run = runs["edsr-ft-20-seed-1"]
    assert (run.model, run.fraction, run.seed, run.tasks) == ("edsr-ft", 0.2, 1, ("sr2",))
    assert run.pretrained == runs["edsr-20-seed-1"]
    assert run.finetuned
    assert not run.pretrained.finetuned
    assert run.subset == "data/finetune/fraction-100-seed-1.csv"
    assert run.pretrained.subset == "data/fraction-20-seed-1.csv"
    assert (run.data.count, run.training.learning_rate, run.training.budget.epochs) == (13, 2e-5, 3)
    assert run.training.patch_size == 24
    # The contrastive loss is the first stage's alone.
    assert runs["ipt-contrastive-ft-20-seed-0"].contrastive is None
    assert runs["ipt-contrastive-ft-20-seed-0"].pretrained.contrastive.weight == 0.1


def test_finetuned_run_is_another_when_the_first_stage_or_the_second_is():
    def digest(**changes):
        config = {"finetune": {"data": {"count": 13}, "training": {"learning_rate": 2e-5}}, **changes}
        return parse(changed(**config)).runs()["ipt-ft-20-seed-0"].digest

    plain = digest()
    assert digest(training__log_every=7) == plain
    assert digest(finetune__data__count=14) != plain
    assert digest(training__learning_rate=1.0) != plain
    assert digest(data__count=77) != plain


def test_fraction_0_has_only_the_second_stage():
    runs = parse(changed(fractions=[0, 1.0], seeds=[0], finetune={"data": {"count": 13}})).runs()
    assert sorted(name for name in runs if "-0-seed" in name) == ["edsr-ft-0-seed-0", "ipt-ft-0-seed-0"]
    run = runs["ipt-ft-0-seed-0"]
    assert run.finetuned
    assert run.pretrained is None
    assert (run.data.count, run.fraction) == (13, 0)


def test_the_second_stage_alone_may_have_the_recipe_and_steps_of_both():
    second = {"data": {"count": 13}, "training": {"budget": {"steps": 5}, "learning_rate": 2e-5}}
    config = {"fractions": [0, 1.0], "seeds": [0], "finetune": {**second, "alone": {"budget": {"steps": 15}}}}
    runs = parse(changed(**config)).runs()
    alone, tuned = (runs[f"edsr-ft-{percent}-seed-0"].training for percent in (0, 100))
    assert (alone.budget.steps, alone.learning_rate) == (15, 0.002), "the first stage's rate of the model"
    assert (tuned.budget.steps, tuned.learning_rate) == (5, 2e-5)
    assert alone.budget.steps == tuned.budget.steps + runs["edsr-100-seed-0"].training.budget.steps
    with raises_naming(ConfigError, "'edsr'", "finetune.alone.stpes", "budget"):
        parse(changed(**{**config, "finetune": {**second, "alone": {"stpes": 3}}}))


def test_images_have_to_be_large_enough_for_the_tasks_and_patches_of_their_stage():
    config = {"tasks": ["sr2", "sr4"], "models": [{"name": "ipt", "variant": "ipt_tiny"}]}
    experiment = parse(changed(**config, finetune={"data": {}, "task": "sr2"}))
    assert (experiment.min_side(), experiment.min_side("data/finetune")) == (4 * 24, 2 * 24)


def test_all_mistakes_come_in_one_message():
    with raises_naming(ConfigError, "fractions[0]", "seeds[0]", "nmae"):
        parse(changed(fractions=[2], seeds=[-1], nmae="x"))


def test_digest_changes_with_what_decides_the_weights_and_with_nothing_else():
    def digest(run="ipt-20-seed-0", **changes):
        return parse(changed(**changes)).runs()[run].digest

    plain = digest()
    assert digest() == plain
    for changes in (
        {"training__threads": 2},
        {"training__learning_rate": 1.0},
        {"data__count": 77},
        {"tasks": ["sr3"]},
        {"training__ema": 0.9},
        {"training__compile": True},
        {"training__matmul_precision": "high"},
    ):
        assert digest(**changes) != plain, changes
    for name in ("ipt-20-seed-1", "ipt-100-seed-0", "ipt-contrastive-20-seed-0"):
        assert digest(name) != plain, name
    for changes in ({"training__log_every": 7}, {"name": "other"}, {"evaluation__threads": 2}, {"data__cache_mb": 1}):
        assert digest(**changes) == plain, changes
    for key, value in (("devices", 2), ("num_nodes", 4), ("micro_batch_size", 2), ("checkpoint_steps", 9)):
        assert digest(**{f"training__{key}": value}) == plain, key
    contrastive = digest("ipt-contrastive-20-seed-0")
    assert digest("ipt-contrastive-20-seed-0", models__2__contrastive={"weight": 0.1, "group_size": 4}) != contrastive
    assert digest(fractions=[0.1, 0.2, 1.0]) == plain
    lone = changed(models=[{**SMALL["models"][1], "contrastive": {"weight": 0}}])
    assert parse(lone).runs()["ipt-20-seed-0"].digest == plain, "without weight there is no contrastive loss"


def test_a_run_that_matches_the_cost_of_a_users_class_is_another_when_its_file_changes(tmp_path):
    path, records = tmp_path / "net.py", []
    model = {"name": "edsr", "variant": "edsr_tiny", "kwargs": {"match": {"params": f"{path}:Net"}}}
    for width in (64, 512):
        path.write_text(f"WIDTH = {width}")
        run = parse(changed(models=[model])).runs()["edsr-20-seed-0"]
        records.append({"digest": run.digest, "config": run.model_dump(mode="json")})
    assert [run.is_recorded_in(record) for record in records] == [False, True]
    path.unlink()
    with raises_naming(ConfigError, "kwargs.match", "'edsr'", path):
        parse(changed(models=[model]))


@pytest.mark.parametrize(("tasks", "expected"), [(["sr2"], ["bicubic"]), (["dr"], ["identity"])])
def test_the_reference_that_is_scored_by_default_fits_the_tasks(tasks, expected):
    config = changed(tasks=[tasks[0]], evaluation__tasks=None)
    config["evaluation"].pop("references", None)
    assert parse(config).references == expected


def test_a_reference_that_has_nothing_to_score_is_omitted():
    models = [{"name": "ipt", "variant": "ipt_tiny"}]
    evaluation = {"tasks": ["sr2", "dn30"], "references": ["bicubic", "identity"]}
    clipped = parse(changed(models=models, tasks=["sr2", "dn30"], evaluation=evaluation))
    assert clipped.references == ["bicubic", "identity"]
    unclipped = parse(changed(models=models, tasks=["sr2", "dn30"], evaluation={**evaluation, "noise": "unclipped"}))
    assert unclipped.references == ["bicubic"]


def test_a_model_may_train_on_tasks_of_its_own():
    models = [SMALL["models"][0], {**SMALL["models"][1], "tasks": ["sr2", "sr3", "dn30"]}]
    config = parse(changed(models=models))
    assert [config.runs()[f"{name}-20-seed-0"].tasks for name in ("edsr", "ipt")] == [("sr2",), ("sr2", "sr3", "dn30")]
    assert config.scored_tasks == ["sr2", "sr3", "dn30"]
    assert config.min_side() == 3 * 24
    assert parse(
        changed(models=models, evaluation={"tasks": ["dn10"], "references": ["identity"]}, tasks=["dn50"])
    ).scored_tasks == ["dn10"]


@pytest.mark.parametrize(
    ("budget", "steps"), [({"steps": 70}, 70), ({"patches": 160}, 10), ({"epochs": 3}, 3 * 100 * 2 // 16 + 1)]
)
def test_budget_in_steps_patches_or_epochs_becomes_steps(budget, steps):
    resolved = parse(changed(training__budget=budget)).runs()["ipt-20-seed-0"].training.budget
    assert resolved.resolve_steps(images=100, batch_size=16, epoch_crops=2) == steps


def test_resolved_config_reads_back_as_the_same_experiment(tmp_path):
    original = parse({**SMALL, "more_seeds": {1.0: [2]}})
    grid.write(original, tmp_path / "x" / "experiment.yaml")
    assert grid.read(tmp_path / "x" / "experiment.yaml") == original
    before = (tmp_path / "x" / "experiment.yaml").stat().st_mtime_ns
    grid.write(original, tmp_path / "x" / "experiment.yaml")
    assert (tmp_path / "x" / "experiment.yaml").stat().st_mtime_ns == before


def test_known_arguments_are_those_of_the_networks():
    import ipt_models.variants
    from baselines.registry import NETWORKS
    from ipt_models.network import IPT

    def arguments(network):
        return tuple(inspect.signature(network).parameters)[1:]

    assert arguments(IPT) == ipt_models.variants.ARGUMENTS
    for network in NETWORKS:
        assert network.arguments == arguments(network.load_class()), network.name


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_of_the_repository_are_valid(path):
    config = yaml.safe_load(path.read_text())
    preset = f"-{config['preset']}" if "preset" in config else ""
    assert parse(config).folder == Path("results") / f"{path.stem}{preset}"


def test_readme_explains_every_key_as_the_schema_does():
    assert key_docs.page() == key_docs.PAGE.read_text(encoding="utf-8"), "run `make docs`"


def test_config_imports_no_stage():
    for path in (ROOT / "workflows" / "config").glob("*.py"):
        imported = re.findall(r"^\s*(?:from|import) (workflows[\w.]*)", path.read_text(encoding="utf-8"), re.MULTILINE)
        below = {"config", "files", "command_line", "generated_docs"}
        assert {name.split(".")[1] for name in imported} <= below, (path.name, imported)


def test_a_folder_whose_name_begins_with_a_dash_is_no_option_of_a_command():
    experiment = parse(changed(evaluation__data_root="-sets"))
    assert experiment.evaluation.data_root == Path.cwd() / "-sets"
    assert parse(changed(evaluation__data_root="sets")).evaluation.data_root == Path("sets")


def test_checking_a_config_imports_no_torch():
    code = "import sys, workflows.config.grid, workflows.preflight; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("method", "named"),
    [
        ({"name": "x"}, ["evaluation.methods[0]", "'x'", "`checkpoint`", "`restored`"]),
        (
            {"name": "x", "checkpoint": "a", "restored": "b"},
            ["evaluation.methods[0]", "'x'", "`checkpoint`", "`restored`"],
        ),
        (
            {"name": "x", "checkpoint": "a", "parameters": 3},
            ["evaluation.methods[0]", "'x'", "`parameters`", "`restored`"],
        ),
        ({"name": "x", "restored": "b", "network": "a.py:A"}, ["'x'", "`network`", "`checkpoint`"]),
        ({"name": "x", "checkpoint": "b", "network": "edsr_tiny"}, ["'x'", "`network`", "path/to/net.py:Class"]),
        ({"name": "x", "checkpoint": "b", "kwargs": {"a": 1}}, ["'x'", "`kwargs`", "`network`"]),
        ({"name": "x-20-seed-0", "restored": "b"}, ["evaluation.methods[0]", "'x-20-seed-0'", "'-seed-'"]),
        ({"name": "ipt", "restored": "b"}, ["evaluation.methods", "'ipt'"]),
        ({"name": "x", "label": "ipt", "restored": "b"}, ["'x'", "'ipt'"]),
        ({"name": "x", "restored": "b", "tasks": ["sr3"]}, ["evaluation.methods", "tasks", "'x'", "sr3", "sr2"]),
        ({"name": "x", "restored": "b", "sets": ["Set5"]}, ["evaluation.methods", "sets", "'x'", "Set5", "photos"]),
        ({"name": "identity", "restored": "b"}, ["evaluation.methods", "'identity'"]),
    ],
)
def test_methods_have_one_source_and_a_name_of_their_own(method, named):
    with raises_naming(ConfigError, *named):
        parse(changed(evaluation__methods=[method]))


def test_a_method_has_something_to_score():
    method = {"name": "theirs", "restored": "b", "tasks": ["dr"], "sets": ["Set5"]}
    scored = {"tasks": ["sr2", "dr"], "sets": ["Set5", "Rain100L"]}
    with raises_naming(ConfigError, "evaluation.methods", "'theirs'", "Set5", "dr"):
        parse(changed(models__0__tasks=["dr"], evaluation=scored | {"methods": [method]}))
    parse(changed(models__0__tasks=["dr"], evaluation=scored | {"methods": [method | {"sets": ["Rain100L"]}]}))
