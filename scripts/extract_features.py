"""Read features and predictions of a trained network in one pass."""

from darkroom.machine.stage import stage

with stage(snakemake) as gpus:
    from darkroom.features.network import extract_features

    extract_features(
        *(snakemake.input[key] for key in ("onnx", "images", "splits")),
        snakemake.input.get("augmented") or None,
        features_path=snakemake.output.features,
        predictions_path=snakemake.output.predictions,
        unlike_path=snakemake.output.unlike,
        threads=snakemake.threads,
        gpus=gpus,
        embedded=snakemake.input.get("embedded") or None,
        cfg=snakemake.params.cfg,
    )
