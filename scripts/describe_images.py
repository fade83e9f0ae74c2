"""Compute a feature set without a network for every image and variant."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.features.describe import describe_images

    describe_images(
        snakemake.input.images,
        snakemake.output[0],
        augmented=snakemake.input.get("augmented") or None,
        cfg=snakemake.params.cfg,
    )
