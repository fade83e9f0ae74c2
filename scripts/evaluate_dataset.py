"""Score all predictions of a data set."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.evaluate.evaluate import evaluate_dataset

    evaluate_dataset(
        list(snakemake.input.predictions),
        snakemake.input.manifest,
        snakemake.input.splits,
        **{k: v for k, v in snakemake.output.items() if k != "tables"},
        cfg=snakemake.params.cfg,
    )
