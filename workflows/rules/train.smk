"""Images of a fraction → model.safetensors, train.csv, provenance.json, one job per run of the grid or of the trials.

Files of a training that is under way lie in resume/<run>/ and are no declared output: Snakemake deletes those of a failed
job, and a run that is tried again goes on from them.
"""

from workflows import freshness

# In a dry run too, which plans by these times: an edited config makes its trainings look old, the former one new again.
if workflow.is_main_process:
    freshness.settle(Path(OUT), TRAININGS)


rule train:
    input:
        fraction=of_run(lambda run: f"{OUT}/{run.subset}"),
        validation=of_run(lambda run: f"{OUT}/{run.source}/validation.csv"),
    output:
        model=f"{OUT}/runs/{{run}}/model.safetensors",
        log=f"{OUT}/runs/{{run}}/train.csv",
        provenance=f"{OUT}/runs/{{run}}/provenance.json",
    log:
        f"{OUT}/logs/train/{{run}}.log",
    benchmark:
        f"{OUT}/benchmarks/train/{{run}}.tsv"
    wildcard_constraints:
        run=either(name for name, run in TRAININGS.items() if not run.finetuned),
    conda:
        environment
    threads: of_run(lambda run: run.cores * run.training.devices)
    resources:
        mem_mb=of_run(lambda run: run.training.memory_mb),
        runtime=of_run(lambda run: run.training.runtime_minutes),
        gpu=of_run(lambda run: gpus(run.training.accelerator, run.training.processes)),
        nodes=of_run(lambda run: run.training.num_nodes),
        processes=of_run(lambda run: run.training.devices),
        cpus_per_task=of_run(lambda run: run.cores),
        # For Slurm. With `mpi` the job starts its processes itself; there is no name for one process on each of several nodes.
        mpi=of_run(lambda run: "srun" if run.training.processes > 1 else None),
        tasks_per_node=of_run(lambda run: run.training.devices if run.training.devices > 1 else None),
        tasks=of_run(lambda run: run.training.processes if run.training.processes > run.training.devices == 1 else None),
        tasks_per_gpu=of_run(lambda run: 1 if run.training.processes > run.training.devices == 1 else None),
        slurm_extra=of_run(slurm_options),
    params:
        # Only a change that affects the weights trains again.
        digest=of_run(lambda run: run.digest),
        holds=of_run(lambda run: holds(run.source)),
        root=lambda wildcards: images("data"),
        resume=f"{OUT}/resume/{{run}}",
        out=subpath(output.model, parent=True),
        spec=SPEC,
        experiments=subpath(output.model, ancestor=4),
        init=[],
    message:
        "Training {wildcards.run}"
    shell:
        # By exec, so that a signal to the job reaches the training.
        "exec python -m workflows.launch --gpus {resources.gpu} --processes {resources.processes} --nodes {resources.nodes}"
        " --cpus {resources.cpus_per_task} -- python -m workflows.training"
        " --experiment {params.spec} --run {wildcards.run} --root {params.root:q} --fraction {input.fraction:q}"
        " --validation {input.validation:q} {params.init:q} --out {params.out:q} --resume {params.resume:q}"
        " --reuse {params.experiments:q} &> {log:q}"


if EXPERIMENT.finetune is not None:

    use rule train as finetune with:
        input:
            # At fraction 0 there is no first stage.
            init=of_run(lambda run: f"{OUT}/runs/{run.pretrained.name}/model.safetensors" if run.pretrained else []),
            fraction=of_run(lambda run: f"{OUT}/{run.subset}"),
            validation=of_run(lambda run: f"{OUT}/{run.source}/validation.csv"),
        wildcard_constraints:
            run=either(name for name, run in TRAININGS.items() if run.finetuned),
        params:
            digest=of_run(lambda run: run.digest),
            holds=of_run(
                lambda run: [holds(source) for source in ["data/finetune", *(["data"] if run.pretrained else [])]]
            ),
            root=lambda wildcards: images("data/finetune"),
            resume=f"{OUT}/resume/{{run}}",
            out=subpath(output.model, parent=True),
            spec=SPEC,
            experiments=subpath(output.model, ancestor=4),
            init=lambda wildcards, input: ["--init", input.init] if input.init else [],
        message:
            "Fine-tuning {wildcards.run}"
