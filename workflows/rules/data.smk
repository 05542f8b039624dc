"""Images → manifest.csv (every image once) → fraction-XX-seed-S.csv (nested subsets)."""

DATA = EXPERIMENT.data
IMAGES = f"{OUT}/data/images" if DATA.source == "dead_leaves" else DATA.root.expanduser().as_posix()

if DATA.source == "dead_leaves":

    rule synthesize:
        output:
            images=directory(IMAGES),
        log:
            f"{OUT}/logs/data/synthesize.log",
        benchmark:
            f"{OUT}/benchmarks/data/synthesize.tsv"
        conda:
            "../../environment.yml"
        threads: 8
        resources:
            mem_mb=1000,
            runtime=30,
            gpu=0,
        params:
            number=DATA.count,
            size=DATA.size,
            seed=DATA.seed,
        message:
            "Drawing {params.number} dead-leaves images"
        shell:
            "python -m workflows.data synthesize --seed {params.seed} --count {params.number} --size {params.size}"
            " --threads {threads} --out {output.images} 2> {log}"


rule manifest:
    input:
        images=IMAGES if DATA.source == "dead_leaves" else [],
    output:
        manifest=f"{OUT}/data/manifest.csv",
        validation=f"{OUT}/data/validation.csv",
    log:
        f"{OUT}/logs/data/manifest.log",
    benchmark:
        f"{OUT}/benchmarks/data/manifest.tsv"
    conda:
        "../../environment.yml"
    threads: 8
    resources:
        mem_mb=2000,
        runtime=240,
        gpu=0,
    params:
        root=lambda wildcards, input: input.get("images") or IMAGES,
        validation=DATA.validation,
        seed=DATA.seed,
        # One size for all runs, so that all draw from the same images.
        min_side=EXPERIMENT.min_side,
        max_undecodable=DATA.max_undecodable,
    message:
        "Listing the training images under {params.root}"
    shell:
        "python -m workflows.data manifest --root {params.root:q} --validation {params.validation} --seed {params.seed}"
        " --min-side {params.min_side} --max-undecodable {params.max_undecodable} --threads {threads}"
        " --out-manifest {output.manifest} --out-validation {output.validation} 2> {log}"


rule fraction:
    input:
        manifest=rules.manifest.output.manifest,
        validation=rules.manifest.output.validation,
    output:
        table=f"{OUT}/data/fraction-{{percent}}-seed-{{seed}}.csv",
    log:
        f"{OUT}/logs/data/fraction-{{percent}}-seed-{{seed}}.log",
    benchmark:
        f"{OUT}/benchmarks/data/fraction-{{percent}}-seed-{{seed}}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        # As the config has it: its name in files may be rounded.
        fraction=lambda wildcards: next(f for f in EXPERIMENT.fractions if grid.percent(f) == wildcards.percent),
    message:
        "Choosing {wildcards.percent} % of the training images for seed {wildcards.seed}"
    shell:
        "python -m workflows.data fraction --manifest {input.manifest} --validation {input.validation}"
        " --fraction {params.fraction} --seed {wildcards.seed} --out {output.table} 2> {log}"
