"""Predict new pictures."""

from darkroom import predict
from darkroom.machine.stage import stage

with stage(snakemake):
    predict.write_predictions(
        snakemake.output[0],
        models=list(snakemake.input.models),
        said=list(snakemake.input.said),
        thresholds=next(iter(snakemake.input.tables), None),
        cfg=snakemake.params.cfg,
        threads=snakemake.threads,
    )
