"""Bring a data set's files to data/{dataset}, and say in source.json what and where they are."""

from darkroom import sources
from darkroom.stage import stage

with stage(snakemake):
    sources.download(
        snakemake.output[0],
        cfg=snakemake.params.cfg,
        mirror=snakemake.config.get("mirror"),
    )
