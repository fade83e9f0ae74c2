"""Join the shards of an index."""

from darkroom import index
from darkroom.machine.stage import stage

with stage(snakemake):
    index.join(
        snakemake.input.source,
        snakemake.input.listing,
        list(snakemake.input.parts),
        snakemake.output.manifest,
        snakemake.params.cfg["dataset"],
    )
