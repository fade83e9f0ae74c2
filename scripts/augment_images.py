"""Make the stored variants of prepared images."""

from darkroom.images import variants as augmentation
from darkroom.machine.stage import stage

with stage(snakemake):
    augmentation.write_augmented(
        snakemake.input.images,
        snakemake.input.manifest,
        snakemake.output[0],
        cfg=snakemake.params.cfg,
        threads=snakemake.threads,
    )
