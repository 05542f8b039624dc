"""Images → manifest.csv (every image once) → fraction-XX-seed-S.csv (nested subsets), for each stage of training."""


wildcard_constraints:
    source=either(SOURCES),


rule synthesize:
    output:
        images=directory(f"{OUT}/{{source}}/images"),
    log:
        f"{OUT}/logs/{{source}}/synthesize.log",
    benchmark:
        f"{OUT}/benchmarks/{{source}}/synthesize.tsv"
    wildcard_constraints:
        source=either(DRAWN),
    conda:
        environment
    threads: 8
    resources:
        mem_mb=1000,
        runtime=30,
        gpu=0,
    params:
        number=lambda wildcards: SOURCES[wildcards.source].count,
        size=lambda wildcards: SOURCES[wildcards.source].size,
        seed=lambda wildcards: SOURCES[wildcards.source].seed,
    message:
        "Generating {params.number} dead-leaves images"
    shell:
        "python -m workflows.data synthesize --seed {params.seed} --count {params.number} --size {params.size}"
        " --threads {threads} --out {output.images:q} &> {log:q}"


rule manifest:
    input:
        images=lambda wildcards: images(wildcards.source) if wildcards.source in DRAWN else [],
    output:
        manifest=f"{OUT}/{{source}}/manifest.csv",
        validation=f"{OUT}/{{source}}/validation.csv",
    log:
        f"{OUT}/logs/{{source}}/manifest.log",
    benchmark:
        f"{OUT}/benchmarks/{{source}}/manifest.tsv"
    conda:
        environment
    threads: 8
    resources:
        mem_mb=2000,
        runtime=240,
        gpu=0,
    params:
        root=lambda wildcards: images(wildcards.source),
        holds=lambda wildcards: holds(wildcards.source),
        validation=lambda wildcards: SOURCES[wildcards.source].validation,
        seed=lambda wildcards: SOURCES[wildcards.source].seed,
        # One size for all runs of a stage, so that all draw from the same images.
        min_side=lambda wildcards: limits(wildcards.source).min_side,
        pairs=lambda wildcards: EXPERIMENT.pair_options(wildcards.source),
        max_undecodable=lambda wildcards: limits(wildcards.source).max_undecodable,
    message:
        "Listing the training images under {params.root}"
    shell:
        "python -m workflows.data manifest --root {params.root:q} {params.pairs:q} --validation {params.validation}"
        " --seed {params.seed}"
        " --min-side {params.min_side} --max-undecodable {params.max_undecodable} --threads {threads}"
        " --out-manifest {output.manifest:q} --out-validation {output.validation:q} &> {log:q}"


rule fraction:
    input:
        manifest=rules.manifest.output.manifest,
        validation=rules.manifest.output.validation,
    output:
        table=f"{OUT}/{{source}}/fraction-{{percent}}-seed-{{seed}}.csv",
    log:
        f"{OUT}/logs/{{source}}/fraction-{{percent}}-seed-{{seed}}.log",
    benchmark:
        f"{OUT}/benchmarks/{{source}}/fraction-{{percent}}-seed-{{seed}}.tsv"
    conda:
        environment
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        holds=lambda wildcards: holds(wildcards.source),
        # The config's value: the one in file names may be rounded.
        fraction=lambda wildcards, output: next(
            run.subset_fraction for run in TRAININGS.values() if output.table == f"{OUT}/{run.subset}"
        ),
    message:
        "Choosing {wildcards.percent} % of the training images for seed {wildcards.seed}"
    shell:
        "python -m workflows.data fraction --manifest {input.manifest:q} --validation {input.validation:q}"
        " --fraction {params.fraction} --seed {wildcards.seed} --out {output.table:q} &> {log:q}"
