"""Index the files of one shard."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.index.sharded import index_shard

    index_shard(
        snakemake.input.source,
        snakemake.input.listing,
        snakemake.output[0],
        cfg=snakemake.params.cfg,
        threads=snakemake.threads,
    )
