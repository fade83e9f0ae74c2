"""Compute the frozen features of every image and variant by a pretrained backbone."""

from darkroom.machine.stage import stage

with stage(snakemake) as gpus:
    from darkroom.features.backbone import embed_images

    embed_images(
        *(snakemake.input[key] for key in ("images", "onnx")),
        snakemake.output[0],
        augmented=snakemake.input.get("augmented") or None,
        cfg=snakemake.params.cfg,
        threads=snakemake.threads,
        gpus=gpus,
    )
