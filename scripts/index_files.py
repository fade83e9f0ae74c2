"""Index every file of a source: what it is, its label, and whether it can be used."""

from darkroom.index import manifest
from darkroom.machine.stage import stage

with stage(snakemake):
    manifest.write_manifest(
        snakemake.input.source,
        snakemake.output.manifest,
        cfg=snakemake.params.cfg,
        threads=snakemake.threads,
    )
