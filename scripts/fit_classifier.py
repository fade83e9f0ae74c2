"""Fit a classifier to the training rows of a feature set and predict the others."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.classify.fitting import fit_classifier

    fit_classifier(
        snakemake.input.features,
        snakemake.input.splits,
        model_path=snakemake.output.model,
        predictions_path=snakemake.output.predictions,
        cfg=snakemake.params.cfg,
        tuned=snakemake.input.get("tuned") or None,
        threads=snakemake.threads,
    )
