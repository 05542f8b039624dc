"""Scores → results.csv and runs.csv → tables, figures, image comparisons → report.html."""

from pathlib import Path

CODE = Path(workflow.basedir) / "workflows" / "reporting"
# A figure is drawn again when its module changes, and so is the report; nothing is trained or scored again.
STYLE = (CODE / "style.py").as_posix()
FIGURES = {"psnr_fraction": "PSNR against data", "contrastive_gain": "Contrastive loss", "training_curves": "Training"}
if not RUNS:
    FIGURES = {}
elif not any(run.contrastive for run in RUNS.values()):
    del FIGURES["contrastive_gain"]
SHOWN_PICTURES = [f"{shown.task}-{shown.dataset}-{shown.image}" for shown in COMPARISONS]


rule collect:
    input:
        metrics=expand(f"{OUT}/runs/{{name}}/metrics.csv", name=[*REFERENCES, *RUNS]),
        provenance=expand(f"{OUT}/runs/{{name}}/provenance.json", name=RUNS),
        logs=expand(f"{OUT}/runs/{{name}}/train.csv", name=RUNS),
        code=(CODE / "collect.py").as_posix(),
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
        code=[(CODE / name).as_posix() for name in ("tables.py", "summary.py", "statistics.py")],
    output:
        csv=report(
            f"{OUT}/tables/summary.csv",
            caption="../reporting/captions/summary.rst",
            category="Tables",
            labels={"table": "summary"},
        ),
        markdown=f"{OUT}/tables/summary.md",
        latex=f"{OUT}/tables/summary.tex",
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
        folder=subpath(output.csv, parent=True),
    message:
        "Writing the tables"
    shell:
        "python -m workflows.reporting tables --results {input.results} --runs {input.runs}"
        " --out-dir {params.folder} 2> {log}"


for name, category in FIGURES.items():

    rule:
        name:
            f"figure_{name}"
        input:
            results=rules.collect.output.results,
            runs=rules.collect.output.runs,
            logs=rules.collect.input.logs,
            code=[(CODE / "figures" / f"{name}.py").as_posix(), STYLE],
        output:
            png=report(
                f"{OUT}/figures/{name}.png",
                caption=f"../reporting/captions/{name}.rst",
                category="Figures",
                labels={"figure": category},
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
        code=[(CODE / "comparison.py").as_posix(), STYLE],
    output:
        png=report(
            f"{OUT}/figures/comparison-{{task}}-{{dataset}}-{{image}}.png",
            caption="../reporting/captions/comparison.rst",
            category="Images",
            labels={"task": "{task}", "set": "{dataset}", "image": "{image}"},
        ),
        pdf=f"{OUT}/figures/comparison-{{task}}-{{dataset}}-{{image}}.pdf",
    log:
        f"{OUT}/logs/report/comparison-{{task}}-{{dataset}}-{{image}}.log",
    benchmark:
        f"{OUT}/benchmarks/report/comparison-{{task}}-{{dataset}}-{{image}}.tsv"
    wildcard_constraints:
        task="[a-z]+[0-9]*",
        dataset="[^-/]+",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        folder=subpath(input.results, parent=True),
        crop=lambda wildcards: next(
            f"--crop {' '.join(map(str, shown.crop))}" if shown.crop else ""
            for shown in COMPARISONS
            if (shown.task, shown.dataset, shown.image) == (wildcards.task, wildcards.dataset, wildcards.image)
        ),
    message:
        "Comparing {wildcards.image} of {wildcards.dataset} by all models"
    shell:
        "python -m workflows.reporting compare --experiment-dir {params.folder} --task {wildcards.task}"
        " --dataset {wildcards.dataset} --image {wildcards.image} {params.crop}"
        " --out {output.png} {output.pdf} 2> {log}"


rule results:
    input:
        tables=rules.tables.output.csv,
        figures=expand(f"{OUT}/figures/{{name}}.png", name=FIGURES),
        comparisons=expand(f"{OUT}/figures/comparison-{{name}}.png", name=SHOWN_PICTURES),


rule report:
    input:
        results=rules.results.input,
        captions=sorted(path.as_posix() for path in (CODE / "captions").glob("*.rst")),
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
        snakefile=workflow.main_snakefile,
        spec=SPEC,
        temporary=f"{OUT}/.report.tmp.html",
    message:
        "Writing {output.html}"
    shell:
        # Snakemake's own report. This one runs inside of the workflow, whose lock it shares.
        "(snakemake results --snakefile {params.snakefile} --configfile {params.spec} --nolock --cores 1"
        " --report {params.temporary} && mv {params.temporary} {output.html}) > {log} 2>&1"
