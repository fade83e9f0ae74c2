"""Find labels that are likely wrong."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.audit.labels import check_labels

    check_labels(
        snakemake.input.features,
        snakemake.input.splits,
        snakemake.input.thumbnails,
        labels=snakemake.output.labels,
        cfg=snakemake.params.cfg,
    )
