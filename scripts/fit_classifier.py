"""Fit a classifier to the training rows of a feature set and predict the others."""

from darkroom.classify import fitting
from darkroom.machine.stage import stage

with stage(snakemake):
    fitting.fit(
        snakemake.input.features,
        snakemake.input.splits,
        model_path=snakemake.output.model,
        predictions_path=snakemake.output.predictions,
        cfg=snakemake.params.cfg,
        tuned=snakemake.input.get("tuned") or None,
        threads=snakemake.threads,
    )
