"""Bring a data set's files to data/{dataset}, and say in source.json what and where they are."""

from darkroom.machine.stage import stage
from darkroom.sources.download import download_source

with stage(snakemake):
    download_source(
        snakemake.output[0],
        cfg=snakemake.params.cfg,
        mirror=snakemake.config.get("mirror"),
    )
