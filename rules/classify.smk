rule classify:
    """Target: the classifiers of all data sets in `run`."""
    input:
        inputs.each("results/{dataset}/{fold}/{fit}/predictions.parquet"),


rule extract_features:
    """One pass of a trained network: the features of a layer, and its own predictions.

    in   model.onnx (model.keras on a GPU), images/{view}.h5, splits.parquet, augmented/{view}.h5 where stored; the
         features of a frozen backbone, which then does not run again
    out  features.h5, head/predictions.parquet; unlike.npz, which tells how unlike a new picture is
    """
    input:
        onnx="results/{dataset}/{fold}/{model}-seed{seed}/model.onnx",
        keras="results/{dataset}/{fold}/{model}-seed{seed}/model.keras",
        images=inputs.images,
        shards=inputs.shards,
        splits="results/{dataset}/splits.parquet",
        augmented=inputs.augmented,
        embedded=inputs.embedded_frozen,
    output:
        features="results/{dataset}/{fold}/{model}-seed{seed}/features.h5",
        predictions="results/{dataset}/{fold}/{model}-seed{seed}/head/predictions.parquet",
        unlike="results/{dataset}/{fold}/{model}-seed{seed}/unlike.npz",
    log:
        "logs/{dataset}/{fold}/extract_features-{model}-seed{seed}.log",
    benchmark:
        "results/{dataset}/benchmarks/{fold}/extract_features-{model}-seed{seed}.tsv"
    conda:
        STAGES["extract_features"].conda
    threads: threads.extraction
    resources:
        **resources("extract_features"),
    params:
        cfg=params.cfg("extract_features"),
        code=code("extract_features"),
    script:
        "../scripts/extract_features.py"


rule describe_images:
    """Features without a network, computed once for all folds.

    in   images/{view}.h5, augmented/{view}.h5 where stored
    out  features/{features}.h5
    """
    input:
        images=inputs.images,
        shards=inputs.shards,
        augmented=inputs.augmented,
    output:
        "results/{dataset}/features/{features}.h5",
    log:
        "logs/{dataset}/describe_images-{features}.log",
    benchmark:
        "results/{dataset}/benchmarks/describe_images-{features}.tsv"
    wildcard_constraints:
        features=one_of([f for f in settings.features if f not in settings.backbones]),
    conda:
        STAGES["describe_images"].conda
    resources:
        **resources("describe_images"),
    params:
        cfg=params.cfg("describe_images"),
        code=code("describe_images"),
    script:
        "../scripts/describe_images.py"


rule fit_classifier:
    """Fit a classifier to the features of the training rows.

    in   a feature set, splits.parquet, best.json where the classifier is tuned
    out  model.skops (never a pickle), predictions.parquet of validation and test rows
    """
    input:
        features=inputs.features,
        splits="results/{dataset}/splits.parquet",
        tuned=inputs.best,
    output:
        model="results/{dataset}/{fold}/{features}/{classifier}/model.skops",
        predictions="results/{dataset}/{fold}/{features}/{classifier}/predictions.parquet",
    log:
        "logs/{dataset}/{fold}/fit_classifier-{features}-{classifier}.log",
    benchmark:
        "results/{dataset}/benchmarks/{fold}/fit_classifier-{features}-{classifier}.tsv"
    conda:
        STAGES["fit_classifier"].conda
    threads: threads.fit
    resources:
        **resources("fit_classifier"),
    params:
        cfg=params.cfg("fit_classifier"),
        code=code("fit_classifier"),
    script:
        "../scripts/fit_classifier.py"
