rule prepare:
    """Target: the prepared images and variants of all data sets in `run`."""
    input:
        each("results/{dataset}/images/{view}.h5"),
        lambda w: [
            f"results/{d}/augmented/{v}.h5"
            for d in settings.run.datasets
            if settings.datasets[d].augment.variants
            for v in settings.views_of(d)
        ],


rule prepare_images:
    """Every usable image is decoded once a view, whatever the split.

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
        "../envs/data.yaml"
    threads: settings.threads
    resources:
        **NEEDS,
    params:
        cfg=cfg("prepare"),
        code=code("prepare_images"),
    script:
        "../scripts/prepare_images.py"


rule prepare_shard:
    """The usable images of one shard, decoded once a view.

    in   source.json and its files, manifest.parquet
    out  images/{view}.shards/{shard}.h5: as images/{view}.h5, of some of the rows
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
        "../envs/data.yaml"
    threads: settings.threads
    resources:
        **NEEDS,
    params:
        cfg=cfg("prepare_shard"),
        code=code("prepare_images"),
    script:
        "../scripts/prepare_images.py"


rule join_images:
    """The shards of a view as one file; no pixel is copied, so they stay where they are.

    in   every images/{view}.shards/{shard}.h5
    out  images/{view}.h5: the columns, and a virtual dataset of pixels
    """
    input:
        parts=shards_of,
    output:
        "results/{dataset}/images/{view}.h5",
    log:
        "logs/{dataset}/join_images-{view}.log",
    benchmark:
        "results/{dataset}/benchmarks/join_images-{view}.tsv"
    wildcard_constraints:
        dataset=SHARDED,
    conda:
        "../envs/data.yaml"
    resources:
        **NEEDS,
    params:
        cfg=cfg("join_images"),
        code=code("join_images"),
    script:
        "../scripts/join_images.py"


rule augment_images:
    """Stored variants of images, each with its parent's row, whose place it inherits.

    in   images/{view}.h5, manifest.parquet
    out  augmented/{view}.h5
    """
    input:
        images="results/{dataset}/images/{view}.h5",
        shards=shards_of,
        manifest="results/{dataset}/manifest.parquet",
    output:
        "results/{dataset}/augmented/{view}.h5",
    log:
        "logs/{dataset}/augment_images-{view}.log",
    benchmark:
        "results/{dataset}/benchmarks/augment_images-{view}.tsv"
    conda:
        "../envs/data.yaml"
    threads: settings.threads
    resources:
        **NEEDS,
    params:
        cfg=cfg("augment"),
        code=code("augment_images"),
    script:
        "../scripts/augment_images.py"
