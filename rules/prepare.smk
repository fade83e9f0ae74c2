rule prepare:
    """Target: the prepared images and variants of all data sets in `run`."""
    input:
        inputs.each("results/{dataset}/images/{view}.h5", "results/{dataset}/augmented/{stored}.h5"),


rule prepare_images:
    """Decode every usable image once per view, for all splits.

    in   source.json and its files, manifest.parquet
    out  images/{view}.h5: one contiguous uint8 array, rows, labels, sums by channel
    """
    input:
        source="data/{dataset}/source.json",
        manifest="results/{dataset}/manifest.parquet",
        unusable=ancient("results/{dataset}/unusable.csv"),
    output:
        "results/{dataset}/images/{view}.h5",
    log:
        "logs/{dataset}/prepare_images-{view}.log",
    benchmark:
        "results/{dataset}/benchmarks/prepare_images-{view}.tsv"
    wildcard_constraints:
        dataset=WHOLE,
    conda:
        STAGES["prepare_images"].conda
    threads: settings.threads
    resources:
        **resources("prepare_images"),
    params:
        cfg=params.cfg("prepare_images"),
        code=code("prepare_images"),
    script:
        "../scripts/prepare_images.py"


rule prepare_shard:
    """Decode the usable images of one shard once per view.

    in   source.json and its files, manifest.parquet
    out  images/{view}.shards/{shard}.h5: as images/{view}.h5, with the rows of the shard
    """
    input:
        source="data/{dataset}/source.json",
        manifest="results/{dataset}/manifest.parquet",
        unusable=ancient("results/{dataset}/unusable.csv"),
    output:
        "results/{dataset}/images/{view}.shards/{shard}.h5",
    log:
        "logs/{dataset}/prepare_shard-{view}-{shard}.log",
    benchmark:
        "results/{dataset}/benchmarks/prepare_shard-{view}-{shard}.tsv"
    wildcard_constraints:
        dataset=SHARDED,
    conda:
        STAGES["prepare_shard"].conda
    threads: settings.threads
    resources:
        **resources("prepare_shard"),
    params:
        cfg=params.cfg("prepare_shard"),
        code=code("prepare_shard"),
    script:
        "../scripts/prepare_shard.py"


rule join_images:
    """Join the shards of a view; no pixel is copied, so the shards must stay.

    in   every images/{view}.shards/{shard}.h5
    out  images/{view}.h5: the columns, and a virtual dataset of pixels
    """
    input:
        parts=inputs.shards,
    output:
        "results/{dataset}/images/{view}.h5",
    log:
        "logs/{dataset}/join_images-{view}.log",
    benchmark:
        "results/{dataset}/benchmarks/join_images-{view}.tsv"
    wildcard_constraints:
        dataset=SHARDED,
    conda:
        STAGES["join_images"].conda
    resources:
        **resources("join_images"),
    params:
        cfg=params.cfg("join_images"),
        code=code("join_images"),
    script:
        "../scripts/join_images.py"


rule augment_images:
    """Stored variants of images; each inherits the row and the part of its parent.

    in   images/{view}.h5, manifest.parquet
    out  augmented/{view}.h5
    """
    input:
        images="results/{dataset}/images/{view}.h5",
        shards=inputs.shards,
        manifest="results/{dataset}/manifest.parquet",
    output:
        "results/{dataset}/augmented/{view}.h5",
    log:
        "logs/{dataset}/augment_images-{view}.log",
    benchmark:
        "results/{dataset}/benchmarks/augment_images-{view}.tsv"
    conda:
        STAGES["augment_images"].conda
    threads: settings.threads
    resources:
        **resources("augment_images"),
    params:
        cfg=params.cfg("augment_images"),
        code=code("augment_images"),
    script:
        "../scripts/augment_images.py"
