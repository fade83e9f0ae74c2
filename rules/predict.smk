from darkroom import unseen


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


def asked_of(wildcards):
    """The classifiers that new pictures may be asked of: the named one, or all; in all folds."""
    asked = settings.predict[wildcards.name]
    known = settings.predictors_of(wildcards.dataset)
    named = list(known.values()) if asked.model is None else [known[asked.model]]
    folds = [asked.fold] if asked.fold else settings.folds_of(wildcards.dataset)
    return [(fold, *one) for one in named for fold in folds]


def answering_models(wildcards):
    """The files of these classifiers."""
    return [
        f"results/{wildcards.dataset}/{fold}/{features}/"
        + ("model.keras" if classifier == "head" else f"{classifier}/model.skops")
        for fold, features, classifier in asked_of(wildcards)
    ]


def feature_makers(wildcards):
    """What makes the features of these classifiers: networks, weights of backbones."""
    makers = []
    for fold, features, classifier in asked_of(wildcards):
        if features in settings.backbones:
            makers.append(f"data/weights/{features}.h5")
        elif features not in settings.features and classifier != "head":
            makers.append(f"results/{wildcards.dataset}/{fold}/{features}/model.keras")
    return list(dict.fromkeys(makers))


def their_predictions(wildcards):
    """Of a named classifier, where its best fold or its threshold has to be found."""
    if settings.predict[wildcards.name].model is None:
        return []
    asked = asked_of(wildcards)
    if len(asked) == 1 and not isinstance(settings.datasets[wildcards.dataset].threshold, str):
        return []
    return [
        f"results/{wildcards.dataset}/{fold}/{features}/{classifier}/predictions.parquet"
        for fold, features, classifier in asked
    ]


def pictures_of(wildcards):
    """A digest of the pictures: changed ones are predicted anew."""
    try:
        return unseen.digest(settings.predict[wildcards.name].source)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def tables(wildcards):
    """What tells the best classifier, where none is named."""
    if settings.predict[wildcards.name].model is not None:
        return []
    names = ("thresholds.csv", "summary.csv", "metrics.csv")
    return [f"results/{wildcards.dataset}/{name}" for name in names]


rule predict_images:
    """New pictures get the class, and all probabilities, of the best classifier or of a named one.

    in   the pictures (`predict` in the configuration); the classifier's files, or where none is
         named those of all, and the tables of the evaluation
    out  predictions/{name}.csv: a row a picture
    """
    input:
        models=answering_models,
        makers=feature_makers,
        said=their_predictions,
        tables=tables,
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
        gpu=GPUS,
    params:
        cfg=cfg("predict"),
        pictures=pictures_of,
        code=code("predict_images"),
    script:
        "../scripts/predict_images.py"
