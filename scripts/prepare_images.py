"""Decode and resize every usable image once per view."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.images.prepare import prepare_images

    prepare_images(
        snakemake.input.source,
        snakemake.input.manifest,
        snakemake.output[0],
        cfg=snakemake.params.cfg,
        threads=snakemake.threads,
    )
