# Tuning of models and classifiers with `tune`: each trial is a job, then the best is chosen.


wildcard_constraints:
    n="[1-9][0-9]*",


rule try_model:
    """One trial of a network's search: draw settings, train, score on the validation rows.

    in   as train_model; the trial before, for the order
    out  trial-{n}.json: no model

    Trials share `journal.log` in their folder, which no rule declares. From it each trial reads the
    results of the others, and a killed trial continues. `parallel` only orders the trials.
    """
    input:
        images=inputs.images,
        shards=inputs.shards,
        splits="results/{dataset}/splits.parquet",
        augmented=inputs.augmented,
        weights=inputs.weights,
        embedded=inputs.embedded,
        before=inputs.trial_before,
    output:
        "results/{dataset}/{fold}/tuning/{model}/trial-{n}.json",
    log:
        "logs/{dataset}/{fold}/try_model-{model}-{n}.log",
    benchmark:
        "results/{dataset}/benchmarks/{fold}/try_model-{model}-{n}.tsv"
    conda:
        STAGES["try_model"].conda
    threads: threads.training
    resources:
        **resources("try_model"),
    params:
        cfg=params.cfg("try_model"),
        code=code("try_model"),
    script:
        "../scripts/try_model.py"


rule try_classifier:
    """One trial of a classifier's search: draw settings, fit, score on the validation rows.

    in   a feature set, splits.parquet; the trial before, for the order
    out  trial-{n}.json: no model
    """
    input:
        features=inputs.features,
        splits="results/{dataset}/splits.parquet",
        before=inputs.trial_before,
    output:
        "results/{dataset}/{fold}/tuning/{features}/{classifier}/trial-{n}.json",
    log:
        "logs/{dataset}/{fold}/try_classifier-{features}-{classifier}-{n}.log",
    benchmark:
        "results/{dataset}/benchmarks/{fold}/try_classifier-{features}-{classifier}-{n}.tsv"
    conda:
        STAGES["try_classifier"].conda
    threads: threads.fit
    resources:
        **resources("try_classifier"),
    params:
        cfg=params.cfg("try_classifier"),
        code=code("try_classifier"),
    script:
        "../scripts/try_classifier.py"


rule choose_setting:
    """The best setting of a network's search.

    in   every trial-{n}.json
    out  best.json, which train_model reads; trials.csv, one row per trial
    """
    input:
        inputs.trials,
    output:
        best="results/{dataset}/{fold}/tuning/{model}/best.json",
        table="results/{dataset}/{fold}/tuning/{model}/trials.csv",
    log:
        "logs/{dataset}/{fold}/choose_setting-{model}.log",
    benchmark:
        "results/{dataset}/benchmarks/{fold}/choose_setting-{model}.tsv"
    localrule: True
    conda:
        STAGES["choose_setting"].conda
    resources:
        **resources("choose_setting"),
    params:
        cfg=params.cfg("choose_setting"),
        code=code("choose_setting"),
    script:
        "../scripts/choose_setting.py"


rule choose_classifier_setting:
    """The best setting of a classifier's search on a feature set.

    in   every trial-{n}.json
    out  best.json, which fit_classifier reads; trials.csv, one row per trial
    """
    input:
        inputs.trials,
    output:
        best="results/{dataset}/{fold}/tuning/{features}/{classifier}/best.json",
        table="results/{dataset}/{fold}/tuning/{features}/{classifier}/trials.csv",
    log:
        "logs/{dataset}/{fold}/choose_classifier_setting-{features}-{classifier}.log",
    benchmark:
        "results/{dataset}/benchmarks/{fold}/choose_classifier_setting-{features}-{classifier}.tsv"
    localrule: True
    conda:
        STAGES["choose_classifier_setting"].conda
    resources:
        **resources("choose_classifier_setting"),
    params:
        cfg=params.cfg("choose_classifier_setting"),
        code=code("choose_classifier_setting"),
    script:
        "../scripts/choose_classifier_setting.py"
