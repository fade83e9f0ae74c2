"""Look for shortcuts in a data set."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.audit.audit import audit_dataset

    audit_dataset(
        **{k: v for k, v in snakemake.input.items() if k != "shards"},
        **dict(snakemake.output.items()),
        cfg=snakemake.params.cfg,
    )
