"""Images of a fraction → model.safetensors, train.csv, provenance.json, one job a run of the grid or of the trials."""


rule train:
    input:
        fraction=lambda wildcards: "{out}/data/fraction-{run.percent}-seed-{run.seed}.csv".format(
            out=OUT, run=TRAININGS[wildcards.run]
        ),
        validation=rules.manifest.output.validation,
    output:
        model=f"{OUT}/runs/{{run}}/model.safetensors",
        log=f"{OUT}/runs/{{run}}/train.csv",
        provenance=f"{OUT}/runs/{{run}}/provenance.json",
    log:
        f"{OUT}/logs/train/{{run}}.log",
    benchmark:
        f"{OUT}/benchmarks/train/{{run}}.tsv"
    conda:
        "../../environment.yml"
    threads: lambda wildcards: TRAININGS[wildcards.run].training.threads * TRAININGS[wildcards.run].training.devices
    resources:
        mem_mb=lambda wildcards: TRAININGS[wildcards.run].training.memory_mb,
        runtime=lambda wildcards: TRAININGS[wildcards.run].training.runtime_minutes,
        gpu=lambda wildcards: TRAININGS[wildcards.run].training.devices
        * (TRAININGS[wildcards.run].training.accelerator == "cuda"),
    params:
        # A change of what the weights depend on trains again; a change of anything else does not.
        digest=lambda wildcards: TRAININGS[wildcards.run].digest,
        root=IMAGES,
        # Checkpoints are no declared output: Snakemake deletes those of a failed job, and a resumed run needs them.
        resume=f"{OUT}/resume/{{run}}",
        out=subpath(output.model, parent=True),
        spec=SPEC,
        experiments=EXPERIMENT.folder.parent.as_posix(),
    message:
        "Training {wildcards.run}"
    shell:
        "python -m workflows.training --experiment {params.spec} --run {wildcards.run} --root {params.root:q}"
        " --fraction {input.fraction} --validation {input.validation} --out {params.out} --resume {params.resume}"
        " --reuse {params.experiments}"
        " 2> {log}"
