"""List the unusable files, and stop where there are too many."""

from darkroom.index import check
from darkroom.machine.stage import stage

with stage(snakemake):
    check.check(
        snakemake.input.manifest,
        snakemake.output[0],
        cfg=snakemake.params.cfg,
        limit=snakemake.params.limit,
    )
