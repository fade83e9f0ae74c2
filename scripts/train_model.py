"""Train a network on the training rows of a fold."""

from pathlib import Path

from darkroom.machine.stage import stage

with stage(snakemake) as gpus:
    from darkroom.train import training

    training.train_model(
        snakemake.input.images,
        snakemake.input.splits,
        snakemake.input.get("augmented") or None,
        model_path=snakemake.output.model, history_path=snakemake.output.history,
        resume=str(Path(snakemake.output.model).with_name(".resume")),
        threads=snakemake.threads, gpus=gpus,
        **{key: snakemake.input.get(key) or None for key in ("tuned", "weights", "embedded")},
        **{key: snakemake.params[key] for key in ("cfg", "code")},
    )  # fmt: skip
