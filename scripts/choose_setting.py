"""Choose the best of a tuning's trials."""

from darkroom import tuning
from darkroom.machine.stage import stage

with stage(snakemake):
    tuning.choose(
        list(snakemake.input),
        best=snakemake.output.best,
        table=snakemake.output.table,
        cfg=snakemake.params.cfg,
    )
