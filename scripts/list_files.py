"""List all files of a source with what their names tell."""

from darkroom.index.sharded import list_files
from darkroom.machine.stage import stage

with stage(snakemake):
    list_files(
        snakemake.input.source,
        snakemake.output[0],
        cfg=snakemake.params.cfg,
    )
