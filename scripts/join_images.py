"""Join the shards of prepared images."""

from darkroom import images
from darkroom.machine.stage import stage

with stage(snakemake):
    images.join(list(snakemake.input.parts), snakemake.output[0])
