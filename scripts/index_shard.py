"""Index the files of one shard."""

from darkroom.index import manifest
from darkroom.machine.stage import stage

with stage(snakemake):
    manifest.write_findings(
        snakemake.input.source,
        snakemake.input.listing,
        snakemake.output[0],
        cfg=snakemake.params.cfg,
        threads=snakemake.threads,
    )
