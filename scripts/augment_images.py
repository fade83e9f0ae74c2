"""Make the stored variants of prepared images."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.images.variants import augment_images

    augment_images(
        snakemake.input.images,
        snakemake.input.manifest,
        snakemake.output[0],
        cfg=snakemake.params.cfg,
        threads=snakemake.threads,
    )
