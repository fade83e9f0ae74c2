wildcard_constraints:
    name=one_of(settings.predict),


rule predict:
    """Target: the predictions of every name in `predict`, by all data sets in `run`."""
    input:
        [
            f"results/{dataset}/predictions/{name}.csv"
            for dataset in settings.run.datasets
            for name in settings.predict
        ],


rule predict_images:
    """New pictures get the class, and all probabilities, of the best classifier or of a named one.

    in   the pictures (`predict` in the configuration); the classifier's files, or where none is
         named those of all, and the tables of the evaluation
    out  predictions/{name}.csv: a row a picture
    """
    input:
        unpack(predicting),
    output:
        "results/{dataset}/predictions/{name}.csv",
    log:
        "logs/{dataset}/predict_images-{name}.log",
    benchmark:
        "results/{dataset}/benchmarks/predict_images-{name}.tsv"
    conda:
        "../envs/predict.yaml"
    threads: settings.threads
    resources:
        **NEEDS,
        gpu=min(1, GPUS),  # it uses one
    params:
        cfg=cfg("predict"),
        pictures=pictures_of,
        code=code("predict_images"),
    script:
        "../scripts/predict_images.py"
