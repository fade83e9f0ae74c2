"""Choose the best of a network's trials."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.tune import choose

    choose.choose_setting(
        list(snakemake.input),
        best=snakemake.output.best,
        table=snakemake.output.table,
        cfg=snakemake.params.cfg,
    )
