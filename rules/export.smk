# What stands in an export as it is here.
COPIED = ["check.py", "predict.py"]


rule export:
    """Target: the best model of every data set in `run`, as a folder that predicts elsewhere."""
    input:
        inputs.each("results/{dataset}/export"),


rule export_model:
    """The best model by the validation images, with the code that decodes for it and a check.

    in   the files of all classifiers, the tables of the evaluation, model_card.md; the images that
         the folder is compared by
    out  export/: see docs/formats.md
    """
    input:
        unpack(inputs.exported),
        source="data/{dataset}/source.json",
        predictions="results/{dataset}/predictions.parquet",
        model_card="results/{dataset}/model_card.md",
    output:
        directory("results/{dataset}/export"),
    log:
        "logs/{dataset}/export_model.log",
    benchmark:
        "results/{dataset}/benchmarks/export_model.tsv"
    conda:
        STAGES["export_model"].conda
    resources:
        **resources("export_model"),
    params:
        cfg=params.cfg("export_model"),
        code=code("export_model", *(f"darkroom/predict/exported/{name}" for name in COPIED)),
    script:
        "../scripts/export_model.py"
