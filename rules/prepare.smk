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


rule augment_images:
    """Stored variants of images, each with its parent's row, whose place it inherits.

    in   images/{view}.h5, manifest.parquet
    out  augmented/{view}.h5
    """
    input:
        images="results/{dataset}/images/{view}.h5",
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
