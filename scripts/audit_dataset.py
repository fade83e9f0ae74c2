"""Look for shortcuts in a data set."""

from darkroom.audit.audit import audit_dataset
from darkroom.machine.stage import stage

with stage(snakemake):
    audit_dataset(
        **{k: v for k, v in snakemake.input.items() if k != "shards"},
        **dict(snakemake.output.items()),
        cfg=snakemake.params.cfg,
    )
