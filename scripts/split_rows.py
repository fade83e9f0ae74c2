"""Assign each row to training, validation or test."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.split import plan

    plan.split_rows(
        snakemake.input.manifest,
        snakemake.input.copies,
        snakemake.output.splits,
        indices=snakemake.output.indices,
        cfg=snakemake.params.cfg,
    )
