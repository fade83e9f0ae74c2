"""Join the shards of an index."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.index.sharded import join_index

    join_index(
        snakemake.input.source,
        snakemake.input.listing,
        list(snakemake.input.parts),
        snakemake.output.manifest,
        snakemake.output.thumbnails,
        cfg=snakemake.params.cfg,
    )
