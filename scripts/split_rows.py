"""Place each row in training, validation or test."""

from darkroom.machine.stage import stage
from darkroom.split import plan as partition

with stage(snakemake):
    partition.write_splits(
        snakemake.input.manifest,
        snakemake.output.splits,
        indices=snakemake.output.indices,
        cfg=snakemake.params.cfg,
    )
