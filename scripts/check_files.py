"""List the unusable files, and stop the run where there are too many."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.index.check import check_files

    check_files(
        snakemake.input.manifest,
        snakemake.output[0],
        cfg=snakemake.params.cfg,
        limit=snakemake.params.limit,
    )
