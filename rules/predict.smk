wildcard_constraints:
    name=one_of(settings.predict),


rule predict:
    """Target: the predictions of every name in `predict`, by all data sets in `run`."""
    input:
        inputs.each("results/{dataset}/predictions/{name}.csv"),


rule predict_images:
    """Predict new pictures with the best classifier or with a named one.

    in   the pictures (`predict` in the configuration); the classifier's files, or where none is
         named those of all, and the tables of the evaluation
    out  predictions/{name}.csv: class and probabilities, one row per picture
    """
    input:
        unpack(inputs.predictors),
    output:
        "results/{dataset}/predictions/{name}.csv",
    log:
        "logs/{dataset}/predict_images-{name}.log",
    benchmark:
        "results/{dataset}/benchmarks/predict_images-{name}.tsv"
    conda:
        STAGES["predict_images"].conda
    threads: settings.threads
    resources:
        **resources("predict_images"),
    params:
        cfg=params.cfg("predict_images"),
        pictures=params.pictures,
        code=code("predict_images"),
    script:
        "../scripts/predict_images.py"
