"""Scores → results.csv and runs.csv → tables, figures, verdict → report.html, and Snakemake's own workflow.html."""

from pathlib import Path

from workflows.reporting import outline

CODE = Path(workflow.basedir) / "workflows" / "reporting"
FIGURES = outline.figures(EXPERIMENT)


rule collect:
    input:
        metrics=expand(f"{OUT}/runs/{{name}}/metrics.csv", name=[*REFERENCES, *RUNS]),
        ensembled=ENSEMBLED,
        provenance=expand(f"{OUT}/runs/{{name}}/provenance.json", name=RUNS),
        logs=expand(f"{OUT}/runs/{{name}}/train.csv", name=RUNS),
        code=code("analysis.collect"),
    output:
        results=f"{OUT}/results.csv",
        runs=f"{OUT}/runs.csv",
    log:
        f"{OUT}/logs/report/collect.log",
    benchmark:
        f"{OUT}/benchmarks/report/collect.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        folder=subpath(output.results, parent=True),
        names=" ".join([*REFERENCES, *RUNS]),
        # Labels come from the config.
        labels=[(model.name, model.label) for model in EXPERIMENT.models],
    message:
        "Gathering the scores of all runs"
    shell:
        "python -m workflows.reporting collect --experiment-dir {params.folder} --runs {params.names}"
        " --out-results {output.results} --out-runs {output.runs} 2> {log}"


rule tables:
    input:
        results=rules.collect.output.results,
        runs=rules.collect.output.runs,
        code=code("reporting.tables"),
        published=(CODE.parent / "analysis" / "published.csv").as_posix(),
    output:
        csv=report(
            expand(f"{OUT}/tables/{{name}}.csv", name=outline.TABLES),
            caption="../reporting/captions/tables.rst",
            category="Tables",
        ),
        markdown=expand(f"{OUT}/tables/{{name}}.md", name=outline.TABLES),
        latex=expand(f"{OUT}/tables/{{name}}.tex", name=outline.TABLES),
    log:
        f"{OUT}/logs/report/tables.log",
    benchmark:
        f"{OUT}/benchmarks/report/tables.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        folder=lambda wildcards, output: Path(output.csv[0]).parent,
    message:
        "Writing the tables"
    shell:
        "python -m workflows.reporting tables --results {input.results} --runs {input.runs}"
        " --out-dir {params.folder} 2> {log}"


rule verdict:
    input:
        results=rules.collect.output.results,
        runs=rules.collect.output.runs,
        code=code("reporting.verdict"),
        published=(CODE.parent / "analysis" / "published.csv").as_posix(),
    output:
        verdict=report(f"{OUT}/verdict.md", caption="../reporting/captions/verdict.rst", category="Verdict"),
    log:
        f"{OUT}/logs/report/verdict.log",
    benchmark:
        f"{OUT}/benchmarks/report/verdict.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    message:
        "Judging what the scores show"
    shell:
        "python -m workflows.reporting verdict --results {input.results} --runs {input.runs} --out {output.verdict} 2> {log}"


for name in FIGURES:

    rule:
        name:
            f"figure_{name}"
        input:
            results=rules.collect.output.results,
            runs=rules.collect.output.runs,
            logs=rules.collect.input.logs,
            code=code(f"reporting.figures.{name}"),
        output:
            png=report(
                f"{OUT}/figures/{name}.png",
                caption=f"../reporting/captions/{name}.rst",
                category="Figures",
                labels={"figure": outline.FIGURES[name]},
            ),
            pdf=f"{OUT}/figures/{name}.pdf",
            csv=f"{OUT}/figures/{name}.csv",
        log:
            f"{OUT}/logs/report/{name}.log",
        benchmark:
            f"{OUT}/benchmarks/report/{name}.tsv"
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=30,
            gpu=0,
        params:
            figure=name,
        message:
            "Drawing {params.figure}"
        shell:
            "python -m workflows.reporting figure {params.figure} --results {input.results} --runs {input.runs}"
            " --train-logs {input.logs} --out {output.png} {output.pdf} {output.csv} 2> {log}"


rule comparison:
    input:
        results=rules.collect.output.results,
        runs=rules.collect.output.runs,
        inputs=rules.export_inputs.output.images,
        code=code("reporting.comparison"),
    output:
        png=report(
            f"{OUT}/figures/comparison-{{task}}-{{dataset}}-{{image}}.png",
            caption="../reporting/captions/comparison.rst",
            category="Images",
            labels={"task": "{task}", "set": "{dataset}", "image": "{image}"},
        ),
        pdf=f"{OUT}/figures/comparison-{{task}}-{{dataset}}-{{image}}.pdf",
        csv=f"{OUT}/figures/comparison-{{task}}-{{dataset}}-{{image}}.csv",
    log:
        f"{OUT}/logs/report/comparison-{{task}}-{{dataset}}-{{image}}.log",
    benchmark:
        f"{OUT}/benchmarks/report/comparison-{{task}}-{{dataset}}-{{image}}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        folder=subpath(input.results, parent=True),
        options=comparison_options,
    message:
        "Comparing {wildcards.image} of {wildcards.dataset} by all models"
    shell:
        "python -m workflows.reporting compare --experiment-dir {params.folder} --task {wildcards.task}"
        " --dataset {wildcards.dataset} --image {wildcards.image} {params.options}"
        " --out {output.png} {output.pdf} {output.csv} 2> {log}"


rule similarity:
    input:
        runs=rules.collect.output.runs,
        features=lambda wildcards: expand(rules.export_features.output.features, run=MAPPED_RUNS, allow_missing=True),
        code=code("reporting.similarity"),
    output:
        png=report(
            f"{OUT}/figures/similarity-{{task}}-{{dataset}}-{{image}}.png",
            caption="../reporting/captions/similarity.rst",
            category="Images",
            labels={"task": "{task}", "set": "{dataset}", "image": "{image}"},
        ),
        pdf=f"{OUT}/figures/similarity-{{task}}-{{dataset}}-{{image}}.pdf",
        csv=f"{OUT}/figures/similarity-{{task}}-{{dataset}}-{{image}}.csv",
    log:
        f"{OUT}/logs/report/similarity-{{task}}-{{dataset}}-{{image}}.log",
    benchmark:
        f"{OUT}/benchmarks/report/similarity-{{task}}-{{dataset}}-{{image}}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        folder=subpath(input.runs, parent=True),
        runs=" ".join(MAPPED_RUNS),
    message:
        "Mapping what IPT's patch features of {wildcards.image} hold alike"
    shell:
        "python -m workflows.reporting similarity --experiment-dir {params.folder} --task {wildcards.task}"
        " --dataset {wildcards.dataset} --image {wildcards.image} --runs {params.runs}"
        " --out {output.png} {output.pdf} {output.csv} 2> {log}"


rule results:
    input:
        verdict=rules.verdict.output.verdict,
        tables=rules.tables.output.csv,
        figures=expand(f"{OUT}/figures/{{name}}.png", name=FIGURES),
        comparisons=expand(f"{OUT}/figures/comparison-{{shown}}.png", shown=map(title, COMPARISONS)),
        similarity=expand(f"{OUT}/figures/similarity-{{shown}}.png", shown=[title(MAPS.picture)] if MAPPED_RUNS else []),


if TRIALS:

    rule learning_rates:
        input:
            logs=expand(f"{OUT}/runs/{{name}}/train.csv", name=TRIALS),
            provenance=expand(f"{OUT}/runs/{{name}}/provenance.json", name=TRIALS),
            code=code("analysis.learning_rates"),
        output:
            csv=f"{OUT}/learning_rates.csv",
            markdown=f"{OUT}/learning_rates.md",
        log:
            f"{OUT}/logs/report/learning_rates.log",
        benchmark:
            f"{OUT}/benchmarks/report/learning_rates.tsv"
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=10,
            gpu=0,
        params:
            folder=subpath(output.csv, parent=True),
            # The table says which rates are used; the config says so.
            used=[(model.name, EXPERIMENT.recipe(model).learning_rate) for model in EXPERIMENT.models],
        message:
            "Comparing the learning rates that were tried"
        shell:
            "python -m workflows.reporting learning-rates --experiment-dir {params.folder}"
            " --out {output.csv} {output.markdown} 2> {log}"


rule report:
    input:
        results=rules.results.input,
        learning_rates=rules.learning_rates.output.markdown if TRIALS else [],
        code=code("reporting.html"),
        texts=sorted(path.as_posix() for path in (*(CODE / "captions").glob("*.rst"), *CODE.glob("*.jinja"))),
    output:
        html=f"{OUT}/report.html",
    log:
        f"{OUT}/logs/report/report.log",
    benchmark:
        f"{OUT}/benchmarks/report/report.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        folder=subpath(output.html, parent=True),
    message:
        "Writing {output.html}"
    shell:
        "python -m workflows.reporting html --experiment-dir {params.folder} --out {output.html} 2> {log}"


rule workflow_report:
    input:
        results=rules.results.input,
        captions=sorted(path.as_posix() for path in (CODE / "captions").glob("*.rst")),
    output:
        html=f"{OUT}/workflow.html",
    log:
        f"{OUT}/logs/report/workflow.log",
    benchmark:
        f"{OUT}/benchmarks/report/workflow.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        snakefile=workflow.main_snakefile,
        spec=SPEC,
        temporary=f"{OUT}/.workflow.tmp.html",
    message:
        "Writing {output.html}"
    shell:
        # Snakemake's own report. This one runs inside of the workflow, whose lock it shares.
        "(snakemake results --snakefile {params.snakefile} --configfile {params.spec} --nolock --cores 1"
        " --report {params.temporary} && mv {params.temporary} {output.html}) > {log} 2>&1"
