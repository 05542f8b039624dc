"""The contract with the rendering: every table is written, with the columns that it documents."""

import re

import pandas as pd
import pytest

from workflows.analysis.__main__ import main
from workflows.analysis.computation import COMPUTED, write_tables
from workflows.analysis.tables import TABLES


def documented(columns: dict[str, str]) -> re.Pattern:
    patterns = [re.sub(r"<\w+>", ".+", re.escape(name).replace(r"\ ", " ")) for name in columns]
    return re.compile("|".join(patterns))


@pytest.mark.parametrize("options", [{"seeds": (0, 1)}, {"fractions": (1.0,)}])
def test_every_table_has_the_columns_that_it_documents(experiment, gathered, tmp_path, options):
    results, runs = gathered(**{"fractions": (0.2, 1.0), **options})
    averaged = results[results["model"].str.startswith("ipt")].assign(setting="averaged")
    logs = sorted(tmp_path.glob("small/runs/*/train.csv"))
    write_tables(pd.concat([results, averaged]), runs, tmp_path / "tables", logs)
    assert set(COMPUTED) == set(TABLES)
    for name, table in TABLES.items():
        columns = list(pd.read_csv(tmp_path / "tables" / f"{name}.csv").columns)
        fixed = [column for column in table.columns if "<" not in column]
        assert [column for column in columns if column in fixed] == fixed, name
        assert all(documented(table.columns).fullmatch(column) for column in columns), name


def test_an_experiment_without_scores_gives_empty_tables_with_the_same_columns(gathered, tmp_path):
    results, runs = gathered(fractions=(0.2, 1.0))
    write_tables(results.iloc[:0], runs, tmp_path / "tables")
    assert pd.read_csv(tmp_path / "tables" / "claims.csv").columns.tolist() == list(TABLES["claims"].columns)
    assert pd.read_csv(tmp_path / "tables" / "quality_data.csv").columns.tolist() == list(
        TABLES["quality_data"].columns
    )


def test_the_command_writes_unrounded_numbers(experiment, tmp_path):
    folder, names = experiment(seeds=(0, 1), fractions=(0.2, 1.0))
    files = {"results": folder / "results.csv", "runs": folder / "runs.csv"}
    arguments = ["collect", "--experiment-dir", str(folder), "--runs", *names]
    assert main([*arguments, "--out-results", str(files["results"]), "--out-runs", str(files["runs"])]) == 0
    arguments = ["tables", "--results", str(files["results"]), "--runs", str(files["runs"])]
    assert main([*arguments, "--out-dir", str(folder / "tables")]) == 0
    assert {path.stem for path in (folder / "tables").iterdir()} == set(TABLES)
    seeds = pd.read_csv(folder / "tables" / "seeds.csv")
    row = seeds[(seeds["model"] == "ipt") & (seeds["fraction"] == 1.0) & (seeds["seed"] == 0)].iloc[0]
    scores = pd.read_csv(folder / "runs" / "ipt-100-seed-0" / "metrics.csv")
    assert row["psnr_y"] == pytest.approx(scores["psnr_y"].mean(), rel=1e-14)
