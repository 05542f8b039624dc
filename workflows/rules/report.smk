"""Tables of the analysis → Markdown, LaTeX, figures, verdict → report.html, and Snakemake's own workflow.html."""

from pathlib import Path

from workflows.reporting import outline

CODE = Path(workflow.basedir) / "workflows" / "reporting"
FIGURES = outline.figures(EXPERIMENT)


rule tables:
    input:
        results=rules.collect.output.results,
        runs=rules.collect.output.runs,
        code=sources("reporting/*.py", "analysis/*.py", "analysis/*.csv"),
    output:
        markdown=expand(f"{OUT}/tables/{{name}}.md", name=outline.TABLES),
        latex=expand(f"{OUT}/tables/{{name}}.tex", name=outline.TABLES),
    log:
        f"{OUT}/logs/report/tables.log",
    benchmark:
        f"{OUT}/benchmarks/report/tables.tsv"
    conda:
        environment
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        folder=lambda wildcards, output: Path(output.markdown[0]).parent,
    message:
        "Writing the tables"
    shell:
        "python -m workflows.reporting tables --results {input.results} --runs {input.runs}"
        " --out-dir {params.folder} 2> {log}"


rule verdict:
    input:
        results=rules.collect.output.results,
        runs=rules.collect.output.runs,
        code=sources("reporting/*.py", "analysis/*.py", "analysis/*.csv"),
    output:
        verdict=report(f"{OUT}/verdict.md", caption="../reporting/captions/verdict.rst", category="Verdict"),
    log:
        f"{OUT}/logs/report/verdict.log",
    benchmark:
        f"{OUT}/benchmarks/report/verdict.tsv"
    conda:
        environment
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
            code=sources(f"reporting/figures/{name}.py", "reporting/style.py", "analysis/*.py"),
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
            environment
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
        code=sources("reporting/comparison.py", "reporting/image_panels.py", "reporting/style.py"),
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
        environment
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
        features=expand(rules.export_features.output.features, run=MAPPED_RUNS),
        code=sources("reporting/similarity.py", "reporting/style.py"),
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
        environment
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
        tables=rules.analyse.output.tables,
        rendered=rules.tables.output.markdown,
        figures=expand(f"{OUT}/figures/{{name}}.png", name=FIGURES),
        comparisons=expand(f"{OUT}/figures/comparison-{{shown}}.png", shown=map(title, COMPARISONS)),
        similarity=expand(f"{OUT}/figures/similarity-{{shown}}.png", shown=[title(MAPS.picture)] if MAPPED_RUNS else []),


if TRIALS:

    rule rates:
        input:
            csv=rules.learning_rates.output.csv,
            code=sources("analysis/learning_rates.py", "reporting/markup.py"),
        output:
            markdown=f"{OUT}/learning_rates.md",
        log:
            f"{OUT}/logs/report/rates.log",
        benchmark:
            f"{OUT}/benchmarks/report/rates.tsv"
        conda:
            environment
        threads: 1
        resources:
            mem_mb=1000,
            runtime=10,
            gpu=0,
        params:
            folder=subpath(output.markdown, parent=True),
        message:
            "Writing {output.markdown}"
        shell:
            "python -m workflows.reporting learning-rates --experiment-dir {params.folder:q}"
            " --out {output.markdown:q} 2> {log:q}"


rule report:
    input:
        results=rules.results.input,
        learning_rates=rules.rates.output.markdown if TRIALS else [],
        code=sources("reporting/*.py", "analysis/*.py", "analysis/*.csv"),
        texts=sources("reporting/captions/*.rst", "reporting/*.jinja"),
    output:
        html=f"{OUT}/report.html",
    log:
        f"{OUT}/logs/report/report.log",
    benchmark:
        f"{OUT}/benchmarks/report/report.tsv"
    conda:
        environment
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
        captions=sources("reporting/captions/*.rst"),
    output:
        html=f"{OUT}/workflow.html",
    log:
        f"{OUT}/logs/report/workflow.log",
    benchmark:
        f"{OUT}/benchmarks/report/workflow.tsv"
    conda:
        environment
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        snakefile=lambda wildcards: workflow.main_snakefile,
        spec=SPEC,
        temporary=f"{OUT}/.workflow.tmp.html",
    message:
        "Writing {output.html}"
    shell:
        # Snakemake's own report. This one runs inside of the workflow, whose lock it shares.
        "(snakemake results --snakefile {params.snakefile:q} --configfile {params.spec:q} --nolock --cores 1"
        " --report {params.temporary} && mv {params.temporary} {output.html}) > {log} 2>&1"
