"""Describe every image and variant by a feature set that no network makes."""

from darkroom import descriptors
from darkroom.machine.stage import stage

with stage(snakemake):
    descriptors.describe(
        snakemake.input.images,
        snakemake.output[0],
        augmented=snakemake.input.get("augmented") or None,
        cfg=snakemake.params.cfg,
    )
