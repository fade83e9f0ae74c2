"""List the unusable files, and stop where there are too many."""

from darkroom import index
from darkroom.stage import stage

with stage(snakemake):
    index.check(
        snakemake.input.manifest,
        snakemake.output[0],
        cfg=snakemake.params.cfg,
        limit=snakemake.params.limit,
    )
