"""List all files of a source, with label, split and group from their names."""

from darkroom.index.sharded import list_files
from darkroom.machine.stage import stage

with stage(snakemake):
    list_files(
        snakemake.input.source,
        snakemake.output[0],
        cfg=snakemake.params.cfg,
    )
