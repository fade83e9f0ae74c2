"""Make one trial of a classifier's tuning."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.tune import classifier_trials

    classifier_trials.try_classifier(
        snakemake.input.features,
        snakemake.input.splits,
        output=snakemake.output[0],
        number=int(snakemake.wildcards.n),
        threads=snakemake.threads,
        **{key: snakemake.params[key] for key in ("cfg", "code")},
    )
