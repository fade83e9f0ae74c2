"""Join the shards of prepared images."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.images.prepare import join_images

    join_images(list(snakemake.input.parts), snakemake.output[0], cfg=snakemake.params.cfg)
