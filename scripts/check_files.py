"""List the unusable files, and stop where there are too many."""

from darkroom import unusable
from darkroom.machine.stage import stage

with stage(snakemake):
    unusable.check(
        snakemake.input.manifest,
        snakemake.output[0],
        cfg=snakemake.params.cfg,
        limit=snakemake.params.limit,
    )
