"""List all files of a source with what their names tell."""

from darkroom.index import manifest
from darkroom.machine.stage import stage

with stage(snakemake):
    manifest.write_listing(
        snakemake.input.source,
        snakemake.output[0],
        cfg=snakemake.params.cfg,
    )
