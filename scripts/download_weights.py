"""Download and verify the weights of a backbone."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.train import weights

    weights.download_weights(
        snakemake.output.weights,
        snakemake.output.onnx,
        cfg=snakemake.params.cfg,
        mirror=snakemake.config.get("mirror"),
        address=snakemake.params.address,
    )
