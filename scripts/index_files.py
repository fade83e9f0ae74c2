"""Index every file of a source: format, label and usability."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.index.manifest import index_files

    index_files(
        snakemake.input.source,
        snakemake.output.manifest,
        snakemake.output.thumbnails,
        cfg=snakemake.params.cfg,
        threads=snakemake.threads,
    )
