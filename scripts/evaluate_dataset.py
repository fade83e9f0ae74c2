"""Score all predictions of a data set."""

from darkroom.evaluate.evaluate import evaluate_dataset
from darkroom.machine.stage import stage

with stage(snakemake):
    evaluate_dataset(
        list(snakemake.input.predictions), snakemake.input.manifest, snakemake.input.splits,
        metrics=snakemake.output.metrics, summary=snakemake.output.summary,
        classes=snakemake.output.classes, predictions_out=snakemake.output.predictions,
        thresholds=snakemake.output.thresholds, cfg=snakemake.params.cfg,
    )  # fmt: skip
