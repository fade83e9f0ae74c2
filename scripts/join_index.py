"""Join the shards of an index."""

from darkroom.index import manifest
from darkroom.machine.stage import stage

with stage(snakemake):
    manifest.join(
        snakemake.input.source,
        snakemake.input.listing,
        list(snakemake.input.parts),
        snakemake.output.manifest,
        snakemake.params.cfg["dataset"],
    )
