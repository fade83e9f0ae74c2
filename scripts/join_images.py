"""Join the shards of prepared images."""

from darkroom.images import prepare as images
from darkroom.machine.stage import stage

with stage(snakemake):
    images.join(list(snakemake.input.parts), snakemake.output[0])
