"""Models → metrics.csv, one row per image, and the report's pictures."""

if FETCHED:

    # A cluster's nodes often have no network.
    rule download:
        output:
            receipts=RECEIPTS,
        log:
            f"{OUT}/logs/evaluate/download.log",
        benchmark:
            f"{OUT}/benchmarks/evaluate/download.tsv"
        localrule: True
        conda:
            environment
        threads: 1
        resources:
            mem_mb=1000,
            runtime=240,
            gpu=0,
        params:
            sets=FETCHED,
            receipts=f"{OUT}/data/sets",
        message:
            "Fetching {params.sets} into {SCORING.data_root}"
        shell:
            "python -m workflows.evaluation download --sets {params.sets} --data-root {SCORING.data_root:q}"
            " --receipts {params.receipts} &> {log}"


rule evaluate:
    input:
        model=f"{OUT}/runs/{{run}}/model.safetensors",
        sets=RECEIPTS,
    output:
        metrics=f"{OUT}/runs/{{run}}/metrics.csv",
        provenance=f"{OUT}/runs/{{run}}/metrics.json",
    log:
        f"{OUT}/logs/evaluate/{{run}}.log",
    benchmark:
        f"{OUT}/benchmarks/evaluate/{{run}}.tsv"
    conda:
        environment
    threads: SCORING.threads
    resources:
        mem_mb=SCORING.memory_mb,
        runtime=SCORING.runtime_minutes,
        gpu=gpus(SCORING.accelerator),
    params:
        protocol=[*JOBS.protocol, "--device", SCORING.accelerator],
        scope=lambda wildcards: JOBS.scope(wildcards.run),
        images=lambda wildcards: scored_images(wildcards.run),
        windows=lambda wildcards: JOBS.windows(wildcards.run),
        save=lambda wildcards: JOBS.saved_images(wildcards.run) if wildcards.run in JOBS.compared else [],
        keep=lambda wildcards: JOBS.kept(wildcards.run),
        version=VERSION,
    message:
        "Scoring {wildcards.run}"
    shell:
        "exec python -m workflows.launch --gpus {resources.gpu} -- python -m workflows.evaluation"
        ' --model {input.model} {params.scope:q} {params.protocol:q} "${{DATA_ROOT[@]}}" {params.windows:q}'
        " {params.save:q} {params.keep:q} --out {output.metrics} &> {log}"


rule evaluate_ensembled:
    input:
        model=f"{OUT}/runs/{{run}}/model.safetensors",
        sets=RECEIPTS,
    output:
        metrics=f"{OUT}/runs/{{run}}/metrics-{{ensemble}}.csv",
        provenance=f"{OUT}/runs/{{run}}/metrics-{{ensemble}}.json",
    log:
        f"{OUT}/logs/evaluate/{{run}}-{{ensemble}}.log",
    benchmark:
        f"{OUT}/benchmarks/evaluate/{{run}}-{{ensemble}}.tsv"
    conda:
        environment
    threads: SCORING.threads
    resources:
        mem_mb=SCORING.memory_mb,
        runtime=4 * SCORING.runtime_minutes,
        gpu=gpus(SCORING.accelerator),
    params:
        protocol=[*JOBS.protocol, "--device", SCORING.accelerator],
        scope=lambda wildcards: JOBS.scope(wildcards.run),
        images=lambda wildcards: scored_images(wildcards.run),
        ensemble=lambda wildcards: JOBS.ensemble(wildcards.run, wildcards.ensemble),
        keep=lambda wildcards: JOBS.kept(wildcards.run, f"metrics-{wildcards.ensemble}"),
        version=VERSION,
    message:
        "Scoring {wildcards.run}, {wildcards.ensemble}"
    shell:
        "exec python -m workflows.launch --gpus {resources.gpu} -- python -m workflows.evaluation"
        ' --model {input.model} {params.scope:q} {params.protocol:q} "${{DATA_ROOT[@]}}"'
        " {params.ensemble:q} {params.keep:q} --out {output.metrics} &> {log}"


rule evaluate_reference:
    input:
        sets=RECEIPTS,
    output:
        metrics=f"{OUT}/runs/{{reference}}/metrics.csv",
        provenance=f"{OUT}/runs/{{reference}}/metrics.json",
    log:
        f"{OUT}/logs/evaluate/{{reference}}.log",
    benchmark:
        f"{OUT}/benchmarks/evaluate/{{reference}}.tsv"
    conda:
        environment
    threads: SCORING.threads
    resources:
        mem_mb=SCORING.memory_mb,
        runtime=SCORING.runtime_minutes,
        gpu=0,
    params:
        protocol=JOBS.protocol,
        scope=lambda wildcards: JOBS.scope(wildcards.reference),
        images=lambda wildcards: scored_images(wildcards.reference),
        save=lambda wildcards: JOBS.saved_images(wildcards.reference),
        version=VERSION,
    message:
        "Scoring {wildcards.reference}"
    shell:
        'python -m workflows.evaluation --model {wildcards.reference} {params.scope:q} {params.protocol:q} "${{DATA_ROOT[@]}}"'
        " {params.save:q} --out {output.metrics} &> {log}"


rule evaluate_method:
    input:
        sets=RECEIPTS,
    output:
        metrics=f"{OUT}/runs/{{method}}/metrics.csv",
        provenance=f"{OUT}/runs/{{method}}/metrics.json",
    log:
        f"{OUT}/logs/evaluate/{{method}}.log",
    benchmark:
        f"{OUT}/benchmarks/evaluate/{{method}}.tsv"
    wildcard_constraints:
        method=either(METHODS),
    conda:
        environment
    threads: SCORING.threads
    resources:
        mem_mb=SCORING.memory_mb,
        runtime=4 * SCORING.runtime_minutes,
        gpu=lambda wildcards: gpus(SCORING.accelerator) if METHODS[wildcards.method].checkpoint else 0,
    params:
        source=lambda wildcards: method_options(wildcards.method),
        digest=lambda wildcards: method_digest(wildcards.method),
        protocol=[*JOBS.protocol, "--device", SCORING.accelerator],
        scope=lambda wildcards: JOBS.scope(wildcards.method),
        images=lambda wildcards: scored_images(wildcards.method),
        save=lambda wildcards: JOBS.saved_images(wildcards.method),
        keep=lambda wildcards: JOBS.kept(wildcards.method),
        version=VERSION,
    message:
        "Scoring {wildcards.method}"
    shell:
        "exec python -m workflows.launch --gpus {resources.gpu} -- python -m workflows.evaluation {params.source:q}"
        ' --method {wildcards.method} {params.scope:q} {params.protocol:q} "${{DATA_ROOT[@]}}" {params.save:q} {params.keep:q}'
        " --out {output.metrics} &> {log}"


rule export_inputs:
    input:
        sets=RECEIPTS,
    output:
        images=directory(f"{OUT}/inputs"),
    log:
        f"{OUT}/logs/evaluate/inputs.log",
    benchmark:
        f"{OUT}/benchmarks/evaluate/inputs.tsv"
    conda:
        environment
    threads: 1
    resources:
        mem_mb=SCORING.memory_mb,
        runtime=30,
        gpu=0,
    params:
        protocol=JOBS.protocol,
        # Functions, because Snakemake looks for wildcards in other values of parameters.
        scope=lambda wildcards: JOBS.scope(),
        images=lambda wildcards: scored_images(),
        names=lambda wildcards: words("--images", *SHOWN),
        version=VERSION,
    message:
        "Writing the degraded and clean images that the report shows"
    shell:
        'python -m workflows.evaluation export-inputs {params.protocol:q} "${{DATA_ROOT[@]}}" {params.scope:q} {params.names:q}'
        " --out {output.images} &> {log}"


# Names of images and sets are not part of the rules' file names, because users choose them.
rule export_features:
    input:
        model=f"{OUT}/runs/{{run}}/model.safetensors",
        sets=RECEIPTS,
    output:
        features=directory(f"{OUT}/runs/{{run}}/features"),
    log:
        f"{OUT}/logs/evaluate/features-{{run}}.log",
    benchmark:
        f"{OUT}/benchmarks/evaluate/features-{{run}}.tsv"
    conda:
        environment
    threads: SCORING.threads
    resources:
        mem_mb=SCORING.memory_mb,
        runtime=30,
        gpu=0,
    params:
        protocol=JOBS.protocol,
        sets=lambda wildcards: [name for name in SCORING.sets if parse_set(name).label == MAPS.picture.dataset],
        task=lambda wildcards: MAPS.picture.task,
        image=lambda wildcards: MAPS.picture.image,
        images=lambda wildcards: scored_images(wildcards.run),
        version=VERSION,
    message:
        "Keeping the patch features of {params.image} by {wildcards.run}"
    shell:
        'python -m workflows.evaluation export-features --model {input.model} {params.protocol:q} "${{DATA_ROOT[@]}}" --sets {params.sets:q}'
        " --tasks {params.task} --images={params.image:q} --out {output.features} &> {log}"
