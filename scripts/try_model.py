"""Make one trial of a network's tuning."""

from darkroom.machine.stage import stage

with stage(snakemake) as gpus:
    from darkroom.tune import model_trials

    model_trials.try_model(
        snakemake.input.images, snakemake.input.splits, snakemake.input.get("augmented") or None,
        output=snakemake.output[0], number=int(snakemake.wildcards.n), threads=snakemake.threads, gpus=gpus,
        **{key: snakemake.input.get(key) or None for key in ("weights", "embedded")},
        **{key: snakemake.params[key] for key in ("cfg", "code")},
    )  # fmt: skip
