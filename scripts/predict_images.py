"""Predict new pictures."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.predict.predict import predict_images

    predict_images(
        snakemake.output[0],
        models=list(snakemake.input.models),
        predictions=list(snakemake.input.predictions),
        thresholds=next(iter(snakemake.input.tables), None),
        cfg=snakemake.params.cfg,
        threads=snakemake.threads,
    )
