"""Bring a data set's files to data/{dataset}, and say in source.json what and where they are."""

from darkroom.sources import download
from darkroom.stage import stage

with stage(snakemake):
    download.download_source(
        snakemake.output[0],
        cfg=snakemake.params.cfg,
        mirror=snakemake.config.get("mirror"),
    )
