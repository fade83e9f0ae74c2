rule embed_images:
    """Frozen features: a pretrained backbone looks once at each image, for all folds.

    in   images/{view}.h5, augmented/{view}.h5 where stored, the backbone's weights
    out  features/{features}.h5

    Any classifier runs on them, and a network with this `backbone` learns its head from them.
    """
    input:
        images=images_of,
        shards=shards_of,
        augmented=augmented_of,
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
        "../envs/train.yaml"
    threads: settings.threads
    resources:
        **NEEDS,
        gpu=min(1, GPUS),  # it uses one
    params:
        cfg=cfg("embed"),
        code=code("embed_images"),
    script:
        "../scripts/embed_images.py"
