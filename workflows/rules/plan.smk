"""What the experiment would cost: `snakemake --cores 1 plan`. Prints a table and writes plan.csv and plan.md."""


# No declared output: what is done already differs from call to call, so each call plans anew.
rule plan:
    log:
        f"{OUT}/logs/plan.log",
    conda:
        environment
    params:
        spec=SPEC,
        out=OUT,
    message:
        "Planning the experiment; speeds that the config does not give are measured"
    shell:
        "python -m workflows.planning {params.spec:q} --out {params.out:q} &> {log:q}"
