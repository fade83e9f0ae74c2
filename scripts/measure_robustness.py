"""Measure the best model on images that were made worse."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.predict.robustness import measure_robustness

    measure_robustness(
        snakemake.output.table,
        thresholds=snakemake.input.thresholds,
        splits=snakemake.input.splits,
        images=snakemake.input.images,
        cfg=snakemake.params.cfg,
        threads=snakemake.threads,
    )
