"""An estimate of the experiment's cost: `snakemake --cores 1 plan`. Prints a table and writes plan.csv and plan.md."""


# No declared output, so that each call plans anew from the present state of the runs.
rule plan:
    log:
        f"{OUT}/logs/plan.log",
    conda:
        environment
    params:
        spec=PLANNED,
        out=OUT,
    message:
        "Planning the experiment; speeds that the config does not give are measured"
    shell:
        "python -m workflows.planning {params.spec:q} --out {params.out:q} &> {log:q}"
