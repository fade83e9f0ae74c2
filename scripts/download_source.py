"""Download, unpack or link a data set's files, and list them in source.json."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.sources.download import download_source

    download_source(
        snakemake.output[0],
        cfg=snakemake.params.cfg,
        mirror=snakemake.config.get("mirror"),
        address=snakemake.params.address,
    )
