"""List all files of a source, with label, split and group from their names."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.index.sharded import list_files

    list_files(
        snakemake.input.source,
        snakemake.output[0],
        cfg=snakemake.params.cfg,
    )
