rule train:
    """Target: the networks of all data sets in `run`."""
    input:
        inputs.each("results/{dataset}/{fold}/{run}/model.keras"),


rule train_model:
    """Train a network on the training rows of a fold; the validation rows choose the epoch.

    in   images/{view}.h5, splits.parquet, augmented/{view}.h5 where variants are stored,
         best.json where the model is tuned; on a backbone its weights, and its features as
         long as nothing changes pixels
    out  model.keras and model.onnx: take raw uint8 pixels, the latter without Keras;
         history.csv: one row per epoch, with the kept one marked

    An interrupted training leaves its last complete epoch in the folder `.resume` beside the model.
    No rule declares it, so Snakemake does not delete it, and the next run continues from there.
    """
    input:
        images=inputs.images,
        shards=inputs.shards,
        splits="results/{dataset}/splits.parquet",
        augmented=inputs.augmented,
        tuned=inputs.best,
        weights=inputs.weights,
        embedded=inputs.embedded,
    output:
        model="results/{dataset}/{fold}/{model}-seed{seed}/model.keras",
        onnx="results/{dataset}/{fold}/{model}-seed{seed}/model.onnx",
        history="results/{dataset}/{fold}/{model}-seed{seed}/history.csv",
    log:
        "logs/{dataset}/{fold}/train_model-{model}-seed{seed}.log",
    benchmark:
        "results/{dataset}/benchmarks/{fold}/train_model-{model}-seed{seed}.tsv"
    conda:
        STAGES["train_model"].conda
    threads: threads.training
    resources:
        **resources("train_model"),
    params:
        cfg=params.cfg("train_model"),
        code=code("train_model"),
    script:
        "../scripts/train_model.py"
