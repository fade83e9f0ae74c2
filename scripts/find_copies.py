"""Find images that show the same picture."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.index.copies import find_copies

    find_copies(
        snakemake.input.manifest,
        snakemake.input.thumbnails,
        snakemake.output.copies,
        table=snakemake.output.table,
        cfg=snakemake.params.cfg,
        threads=snakemake.threads,
    )
