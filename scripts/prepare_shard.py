"""Decode and resize the usable images of one shard."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.images.prepare import prepare_shard

    prepare_shard(
        snakemake.input.source,
        snakemake.input.manifest,
        snakemake.output[0],
        cfg=snakemake.params.cfg,
        threads=snakemake.threads,
    )
