"""Scores → results.csv and runs.csv → every table of the analysis, tables/*.csv; the similarity of patch features; and the
choice of learning rates.
"""

from pathlib import Path

from workflows.analysis.tables import TABLES
from workflows.config.pictures import slugs

# Users name images, so paths and wildcards use the pictures' slugs.
MAPPED = slugs([MAPS.picture]) if MAPPED_RUNS else {}
# What a job of analysis or reporting takes.
LIGHT = {"mem_mb": 2000, "runtime": 30, "gpu": 0}


rule collect:
    input:
        metrics=expand(f"{OUT}/runs/{{name}}/metrics.csv", name=[*REFERENCES, *METHODS, *RUNS]),
        ensembled=ENSEMBLED,
        provenance=expand(f"{OUT}/runs/{{name}}/provenance.json", name=RUNS),
        logs=expand(f"{OUT}/runs/{{name}}/train.csv", name=RUNS),
        code=sources("analysis.collect"),
    output:
        results=f"{OUT}/results.csv",
        runs=f"{OUT}/runs.csv",
    log:
        f"{OUT}/logs/analysis/collect.log",
    benchmark:
        f"{OUT}/benchmarks/analysis/collect.tsv"
    conda:
        environment
    threads: 1
    resources:
        **LIGHT,
    params:
        folder=subpath(output.results, parent=True),
        names=" ".join([*REFERENCES, *METHODS, *RUNS]),
        # Labels and subjects come from the config.
        labels=lambda wildcards: [(model.name, model.label) for model in (*EXPERIMENT.models, *SCORING.methods)],
        subjects=" ".join(EXPERIMENT.report.subjects),
    message:
        "Gathering the scores of all runs"
    shell:
        "python -m workflows.analysis collect --experiment-dir {params.folder:q} --runs {params.names}"
        " --out-results {output.results:q} --out-runs {output.runs:q} &> {log:q}"


rule analyse:
    input:
        results=rules.collect.output.results,
        runs=rules.collect.output.runs,
        logs=rules.collect.input.logs,
        code=sources("analysis.computation", "analysis/*.csv"),
    output:
        tables=report(
            expand(f"{OUT}/tables/{{name}}.csv", name=TABLES),
            caption="../reporting/captions/tables.rst",
            category="Tables",
        ),
    log:
        f"{OUT}/logs/analysis/analyse.log",
    benchmark:
        f"{OUT}/benchmarks/analysis/analyse.tsv"
    conda:
        environment
    threads: 1
    resources:
        **LIGHT,
    params:
        folder=lambda wildcards, output: Path(output.tables[0]).parent,
    message:
        "Computing the tables"
    shell:
        "python -m workflows.analysis tables --results {input.results:q} --runs {input.runs:q}"
        " --train-logs {input.logs:q} --out-dir {params.folder:q} &> {log:q}"


rule patch_similarity:
    input:
        features=expand(rules.export_features.output.features, run=MAPPED_RUNS),
        code=sources("analysis.patch_similarity"),
    output:
        csv=f"{OUT}/tables/similarity-{{picture}}.csv",
    log:
        f"{OUT}/logs/analysis/similarity-{{picture}}.log",
    benchmark:
        f"{OUT}/benchmarks/analysis/similarity-{{picture}}.tsv"
    wildcard_constraints:
        picture=either(MAPPED),
    conda:
        environment
    threads: 1
    resources:
        **LIGHT,
    params:
        folder=lambda wildcards, output: Path(output.csv).parents[1],
        mapped=picture(MAPPED),
        runs=MAPPED_RUNS,
    message:
        "Comparing IPT's patch features on {wildcards.picture}"
    shell:
        "python -m workflows.analysis similarity --experiment-dir {params.folder:q} {params.mapped:q} --runs {params.runs}"
        " --out {output.csv:q} &> {log:q}"


if TRIALS:

    rule learning_rates:
        input:
            logs=expand(f"{OUT}/runs/{{name}}/train.csv", name=TRIALS),
            provenance=expand(f"{OUT}/runs/{{name}}/provenance.json", name=TRIALS),
            code=sources("analysis.learning_rates"),
        output:
            csv=f"{OUT}/learning_rates.csv",
        log:
            f"{OUT}/logs/analysis/learning_rates.log",
        benchmark:
            f"{OUT}/benchmarks/analysis/learning_rates.tsv"
        conda:
            environment
        threads: 1
        resources:
            mem_mb=1000,
            runtime=10,
            gpu=0,
        params:
            folder=subpath(output.csv, parent=True),
            # Which rates are used, and labels, come from the config.
            used=[(model.name, EXPERIMENT.recipe(model).learning_rate) for model in EXPERIMENT.models],
            labels=lambda wildcards: [(model.name, model.label) for model in EXPERIMENT.models],
        message:
            "Comparing the learning rates that were tried"
        shell:
            "python -m workflows.analysis learning-rates --experiment-dir {params.folder:q} --out {output.csv:q} &> {log:q}"
