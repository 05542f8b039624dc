"""Models → metrics.csv, one row an image, and the pictures that the report shows."""

if FETCHED:

    # A cluster's nodes often see no network.
    rule download:
        output:
            receipts=RECEIPTS,
        log:
            f"{OUT}/logs/evaluate/download.log",
        benchmark:
            f"{OUT}/benchmarks/evaluate/download.tsv"
        localrule: True
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=240,
            gpu=0,
        params:
            sets=" ".join(FETCHED),
            data_root=SCORING.data_root,
            receipts=f"{OUT}/data/sets",
        message:
            "Fetching {params.sets} into {params.data_root}"
        shell:
            "python -m workflows.evaluation download --sets {params.sets} --data-root {params.data_root:q}"
            " --receipts {params.receipts} 2> {log}"


rule evaluate:
    input:
        model=f"{OUT}/runs/{{run}}/model.safetensors",
        sets=RECEIPTS,
    output:
        metrics=f"{OUT}/runs/{{run}}/metrics.csv",
        origin=f"{OUT}/runs/{{run}}/metrics.json",
    log:
        f"{OUT}/logs/evaluate/{{run}}.log",
    benchmark:
        f"{OUT}/benchmarks/evaluate/{{run}}.tsv"
    conda:
        "../../environment.yml"
    threads: SCORING.threads
    resources:
        mem_mb=SCORING.memory_mb,
        runtime=60,
        gpu=gpus(SCORING.accelerator),
    params:
        protocol=f"{PROTOCOL} --device {SCORING.accelerator}",
        scope=lambda wildcards: scope(wildcards.run),
        save=lambda wildcards: saved(wildcards.run) if wildcards.run in SHOWN_RUNS else "",
    message:
        "Scoring {wildcards.run}"
    shell:
        "exec python -m workflows.launch --gpus {resources.gpu} -- python -m workflows.evaluation"
        " --model {input.model} {params.scope} {params.protocol}"
        " {params.save} --out {output.metrics} 2> {log}"


rule evaluate_ensembled:
    input:
        model=f"{OUT}/runs/{{run}}/model.safetensors",
        sets=RECEIPTS,
    output:
        metrics=f"{OUT}/runs/{{run}}/metrics-{{ensemble}}.csv",
        origin=f"{OUT}/runs/{{run}}/metrics-{{ensemble}}.json",
    log:
        f"{OUT}/logs/evaluate/{{run}}-{{ensemble}}.log",
    benchmark:
        f"{OUT}/benchmarks/evaluate/{{run}}-{{ensemble}}.tsv"
    conda:
        "../../environment.yml"
    threads: SCORING.threads
    resources:
        mem_mb=SCORING.memory_mb,
        runtime=240,
        gpu=gpus(SCORING.accelerator),
    params:
        protocol=f"{PROTOCOL} --device {SCORING.accelerator}",
        scope=lambda wildcards: scope(wildcards.run),
        option=lambda wildcards: {"x8": "--self-ensemble", "overlap": "--stride overlapping"}[wildcards.ensemble],
    message:
        "Scoring {wildcards.run}, {wildcards.ensemble}"
    shell:
        "exec python -m workflows.launch --gpus {resources.gpu} -- python -m workflows.evaluation"
        " --model {input.model} {params.scope} {params.protocol}"
        " {params.option} --out {output.metrics} 2> {log}"


rule evaluate_reference:
    input:
        sets=RECEIPTS,
    output:
        metrics=f"{OUT}/runs/{{reference}}/metrics.csv",
        origin=f"{OUT}/runs/{{reference}}/metrics.json",
    log:
        f"{OUT}/logs/evaluate/{{reference}}.log",
    benchmark:
        f"{OUT}/benchmarks/evaluate/{{reference}}.tsv"
    conda:
        "../../environment.yml"
    threads: SCORING.threads
    resources:
        mem_mb=SCORING.memory_mb,
        runtime=60,
        gpu=0,
    params:
        protocol=PROTOCOL,
        scope=lambda wildcards: scope(wildcards.reference),
        save=lambda wildcards: saved(wildcards.reference),
    message:
        "Scoring {wildcards.reference}"
    shell:
        "python -m workflows.evaluation --model {wildcards.reference} {params.scope} {params.protocol}"
        " {params.save} --out {output.metrics} 2> {log}"


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
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=SCORING.memory_mb,
        runtime=30,
        gpu=0,
    params:
        protocol=PROTOCOL,
        scope=scope(),
        names=" ".join(SHOWN),
    message:
        "Writing the degraded and clean images that the report shows"
    shell:
        "python -m workflows.evaluation export-inputs {params.protocol} {params.scope} --images {params.names}"
        " --out {output.images} 2> {log}"


rule export_features:
    input:
        model=f"{OUT}/runs/{{run}}/model.safetensors",
        sets=RECEIPTS,
    output:
        features=f"{OUT}/runs/{{run}}/features/{{task}}/{{dataset}}/{{image}}.npz",
    log:
        f"{OUT}/logs/evaluate/features-{{run}}-{{task}}-{{dataset}}-{{image}}.log",
    benchmark:
        f"{OUT}/benchmarks/evaluate/features-{{run}}-{{task}}-{{dataset}}-{{image}}.tsv"
    conda:
        "../../environment.yml"
    threads: SCORING.threads
    resources:
        mem_mb=SCORING.memory_mb,
        runtime=30,
        gpu=0,
    params:
        protocol=PROTOCOL,
        sets=lambda wildcards: next(repr(name) for name in SCORING.sets if parse_set(name).label == wildcards.dataset),
        out=f"{OUT}/runs/{{run}}/features",
    message:
        "Keeping the patch features of {wildcards.image} by {wildcards.run}"
    shell:
        "python -m workflows.evaluation export-features --model {input.model} {params.protocol} --sets {params.sets}"
        " --tasks {wildcards.task} --images {wildcards.image:q} --out {params.out} 2> {log}"
