"""Tables of the analysis → Markdown, LaTeX, figures → report.html."""

from workflows.config.pictures import slugs
from workflows.reporting import outline

FIGURES = outline.figures(EXPERIMENT)
# Users name images, so paths and wildcards use the pictures' slugs.
COMPARED = slugs(COMPARISONS)
# A change of style redraws figures and computes nothing.
STYLE = EXPERIMENT.report.style.model_dump()


rule tables:
    input:
        tables=rules.analyse.output.tables,
        runs=rules.collect.output.runs,
        results=rules.collect.output.results,
        learning_rates=rules.learning_rates.output.csv if TRIALS else [],
        code=sources("reporting.tables"),
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
        **LIGHT,
    params:
        experiment=subpath(input.runs, parent=True),
        folder=subpath(output[0], parent=True),
    message:
        "Writing the tables"
    shell:
        "python -m workflows.reporting tables --experiment-dir {params.experiment:q} --out-dir {params.folder:q} &> {log:q}"


for name in FIGURES:

    rule:
        name:
            f"figure_{name}"
        input:
            tables=rules.analyse.output.tables,
            runs=rules.collect.output.runs,
            # Single batches are shown behind the learning curves.
            logs=rules.collect.input.logs if name == "training_curves" else [],
            code=sources(f"reporting.figures.{name}"),
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
            **LIGHT,
        params:
            figure=name,
            folder=subpath(input.runs, parent=True),
            style=STYLE,
        message:
            "Drawing {params.figure}"
        shell:
            "python -m workflows.reporting figure {params.figure} --experiment-dir {params.folder:q}"
            " --out {output.png:q} {output.pdf:q} {output.csv:q} &> {log:q}"


rule comparison:
    input:
        results=rules.collect.output.results,
        runs=rules.collect.output.runs,
        inputs=rules.export_inputs.output.images,
        code=sources("reporting.comparison"),
    output:
        png=report(
            f"{OUT}/figures/comparison-{{picture}}.png",
            caption="../reporting/captions/comparison.rst",
            category="Images",
            labels=label(COMPARED),
        ),
        pdf=f"{OUT}/figures/comparison-{{picture}}.pdf",
        csv=f"{OUT}/figures/comparison-{{picture}}.csv",
    log:
        f"{OUT}/logs/report/comparison-{{picture}}.log",
    benchmark:
        f"{OUT}/benchmarks/report/comparison-{{picture}}.tsv"
    wildcard_constraints:
        picture=either(COMPARED),
    conda:
        environment
    threads: 1
    resources:
        **LIGHT,
    params:
        folder=subpath(input.results, parent=True),
        shown=picture(COMPARED),
        options=comparison_options,
        style=STYLE,
    message:
        "Comparing all models on {wildcards.picture}"
    shell:
        "python -m workflows.reporting comparison --experiment-dir {params.folder:q} {params.shown:q} {params.options:q}"
        " --out {output.png:q} {output.pdf:q} {output.csv:q} &> {log:q}"


rule similarity:
    input:
        runs=rules.collect.output.runs,
        table=rules.patch_similarity.output.csv,
        features=rules.patch_similarity.input.features,
        code=sources("reporting.similarity"),
    output:
        png=report(
            f"{OUT}/figures/similarity-{{picture}}.png",
            caption="../reporting/captions/similarity.rst",
            category="Images",
            labels=label(MAPPED),
        ),
        pdf=f"{OUT}/figures/similarity-{{picture}}.pdf",
        csv=f"{OUT}/figures/similarity-{{picture}}.csv",
    log:
        f"{OUT}/logs/report/similarity-{{picture}}.log",
    benchmark:
        f"{OUT}/benchmarks/report/similarity-{{picture}}.tsv"
    wildcard_constraints:
        picture=either(MAPPED),
    conda:
        environment
    threads: 1
    resources:
        **LIGHT,
    params:
        folder=subpath(input.runs, parent=True),
        shown=picture(MAPPED),
        runs=MAPPED_RUNS,
        options=lambda wildcards: [] if MAPPED[wildcards.picture].whole else ["--maps-only"],
        style=STYLE,
    message:
        "Mapping the similarity of IPT's patch features on {wildcards.picture}"
    shell:
        "python -m workflows.reporting similarity --experiment-dir {params.folder:q} {params.shown:q} {params.options:q}"
        " --runs {params.runs} --out {output.png:q} {output.pdf:q} {output.csv:q} &> {log:q}"


rule results:
    input:
        tables=rules.tables.output.markdown,
        figures=expand(f"{OUT}/figures/{{name}}.png", name=FIGURES),
        comparisons=expand(f"{OUT}/figures/comparison-{{shown}}.png", shown=COMPARED),
        similarity=expand(f"{OUT}/figures/similarity-{{shown}}.png", shown=MAPPED),


rule report:
    input:
        results=rules.results.input,
        code=sources("reporting.html", "reporting/*.jinja", "reporting/captions/*.rst"),
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
        **LIGHT,
    params:
        folder=subpath(output.html, parent=True),
    message:
        "Writing {output.html}"
    shell:
        "python -m workflows.reporting html --experiment-dir {params.folder:q} --out {output.html:q} &> {log:q}"
