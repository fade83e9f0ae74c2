"""Find labels that are likely wrong."""

from darkroom.audit.labels import check_labels
from darkroom.machine.stage import stage

with stage(snakemake):
    check_labels(
        snakemake.input.features,
        snakemake.input.splits,
        labels=snakemake.output.labels,
        cfg=snakemake.params.cfg,
    )
