"""Assign each row to training, validation or test."""

from darkroom.machine.stage import stage
from darkroom.split import plan

with stage(snakemake):
    plan.split_rows(
        snakemake.input.manifest,
        snakemake.input.copies,
        snakemake.output.splits,
        indices=snakemake.output.indices,
        cfg=snakemake.params.cfg,
    )
