"""Train a network on the training rows of a fold."""

from darkroom.machine.stage import stage
from darkroom.train import training

with stage(snakemake):
    training.train(
        snakemake.input.images,
        snakemake.input.splits,
        snakemake.input.get("augmented") or None,
        model_path=snakemake.output.model, history_path=snakemake.output.history,
        threads=snakemake.threads, cards=snakemake.resources.gpu,
        **{key: snakemake.input.get(key) or None for key in ("tuned", "weights", "embedded")},
        **{key: snakemake.params[key] for key in ("resume", "cfg", "code")},
    )  # fmt: skip
