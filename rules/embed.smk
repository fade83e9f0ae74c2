rule embed_images:
    """Frozen features: one pass of a pretrained backbone over all images, for all folds.

    in   images/{view}.h5, augmented/{view}.h5 where stored, the backbone as ONNX (its weights on a GPU)
    out  features/{features}.h5

    They serve any classifier, and train the head of a network with this `backbone`.
    """
    input:
        images=inputs.images,
        shards=inputs.shards,
        augmented=inputs.augmented,
        onnx="data/weights/{features}.onnx",
        weights="data/weights/{features}.h5",
    output:
        "results/{dataset}/features/{features}.h5",
    log:
        "logs/{dataset}/embed_images-{features}.log",
    benchmark:
        "results/{dataset}/benchmarks/embed_images-{features}.tsv"
    wildcard_constraints:
        features=one_of(settings.backbones),
    conda:
        STAGES["embed_images"].conda
    threads: settings.threads
    resources:
        **resources("embed_images"),
    params:
        cfg=params.cfg("embed_images"),
        code=code("embed_images"),
    script:
        "../scripts/embed_images.py"
