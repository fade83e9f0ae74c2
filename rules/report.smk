from darkroom.report.figure_names import FIGURES

# Tables of the evaluation, as Snakemake's own report names them.
TABLES = {
    "metrics": "every run",
    "summary": "over seeds and folds",
    "class_metrics": "by class",
    "thresholds": "thresholds of two classes",
    "abstention": "the most confident part",
}

# What the best model may be, and what makes its features.
MODELS = (
    "results/{dataset}/{fold}/{run}/model.onnx",
    "results/{dataset}/{fold}/{run}/unlike.npz",
    "results/{dataset}/{fold}/{fit}/model.skops",
    "data/weights/{backbone}.onnx",
)


rule report:
    """Target: the reports of all data sets in `run`."""
    input:
        inputs.each("results/{dataset}/report.html"),


rule paper:
    """Target: tables, methods and figures for a paper, of all data sets in `run`."""
    input:
        inputs.each("results/{dataset}/paper/tables.tex"),


rule evaluate_dataset:
    """Scores with intervals of all networks and classifiers, on the same rows.

    in   all predictions.parquet of a data set, manifest.parquet, splits.parquet
    out  metrics (one row per run), summary (over seeds and folds), class_metrics, thresholds and
         abstention, each as Parquet and as CSV; predictions.parquet
    """
    input:
        predictions=inputs.each(
            "results/{dataset}/{fold}/{run}/head/predictions.parquet",
            "results/{dataset}/{fold}/{fit}/predictions.parquet",
        ),
        manifest="results/{dataset}/manifest.parquet",
        splits="results/{dataset}/splits.parquet",
    output:
        metrics="results/{dataset}/metrics.parquet",
        summary="results/{dataset}/summary.parquet",
        class_metrics="results/{dataset}/class_metrics.parquet",
        thresholds="results/{dataset}/thresholds.parquet",
        abstention="results/{dataset}/abstention.parquet",
        collected="results/{dataset}/predictions.parquet",
        tables=[
            report(
                f"results/{{dataset}}/{name}.csv",
                caption=f"../report/{name}.rst",
                category="{dataset}",
                labels={"table": words},
            )
            for name, words in TABLES.items()
        ],
    log:
        "logs/{dataset}/evaluate_dataset.log",
    benchmark:
        "results/{dataset}/benchmarks/evaluate_dataset.tsv"
    localrule: SMALL
    conda:
        STAGES["evaluate_dataset"].conda
    resources:
        **resources("evaluate_dataset"),
    params:
        cfg=params.cfg("evaluate_dataset"),
        code=code("evaluate_dataset"),
    script:
        "../scripts/evaluate_dataset.py"


rule audit_dataset:
    """What should not tell the classes: how well file headers, names, borders and colours do.

    in   source.json and the first bytes of its files, manifest.parquet, splits.parquet, images/{view}.h5
    out  audit.parquet
    """
    input:
        source="data/{dataset}/source.json",
        manifest="results/{dataset}/manifest.parquet",
        splits="results/{dataset}/splits.parquet",
        images=inputs.images,
        shards=inputs.shards,
    output:
        audit="results/{dataset}/audit.parquet",
    log:
        "logs/{dataset}/audit_dataset.log",
    benchmark:
        "results/{dataset}/benchmarks/audit_dataset.tsv"
    conda:
        STAGES["audit_dataset"].conda
    resources:
        **resources("audit_dataset"),
    params:
        cfg=params.cfg("audit_dataset"),
        code=code("audit_dataset"),
    script:
        "../scripts/audit_dataset.py"


rule check_labels:
    """Labels that are likely wrong, by a classifier on one feature set that did not learn from them.

    in   a feature set that classifiers learn from, of no training where there is one; splits.parquet; thumbnails.npy
    out  labels.parquet
    """
    input:
        features=inputs.labelled,
        splits="results/{dataset}/splits.parquet",
        thumbnails="results/{dataset}/thumbnails.npy",
    output:
        labels="results/{dataset}/labels.parquet",
    log:
        "logs/{dataset}/check_labels.log",
    benchmark:
        "results/{dataset}/benchmarks/check_labels.tsv"
    conda:
        STAGES["check_labels"].conda
    resources:
        **resources("check_labels"),
    params:
        cfg=params.cfg("check_labels"),
        code=code("check_labels"),
    script:
        "../scripts/check_labels.py"


rule measure_robustness:
    """The best model on test images with noise, blur, less contrast, JPEG, rotation and occlusion.

    in   the files of all classifiers, the tables of the evaluation, splits.parquet, images/{view}.h5
    out  robustness, as Parquet and as CSV: six kinds in five strengths, a row each
    """
    input:
        models=inputs.each(*MODELS),
        thresholds="results/{dataset}/thresholds.parquet",
        summary="results/{dataset}/summary.parquet",
        metrics="results/{dataset}/metrics.parquet",
        splits="results/{dataset}/splits.parquet",
        images=inputs.each("results/{dataset}/images/{view}.h5"),
        parts=inputs.each("results/{dataset}/images/{view}.shards/{shard}.h5"),
    output:
        table="results/{dataset}/robustness.parquet",
        csv=report(
            "results/{dataset}/robustness.csv",
            caption="../report/robustness.rst",
            category="{dataset}",
            labels={"table": "robustness"},
        ),
    log:
        "logs/{dataset}/measure_robustness.log",
    benchmark:
        "results/{dataset}/benchmarks/measure_robustness.tsv"
    conda:
        STAGES["measure_robustness"].conda
    threads: settings.threads
    resources:
        **resources("measure_robustness"),
    params:
        cfg=params.cfg("measure_robustness"),
        code=code("measure_robustness"),
    script:
        "../scripts/measure_robustness.py"


rule write_report:
    """One self-contained page, and its figures for Snakemake's own report.

    in   the tables, audit, labels, histories, searches, prepared images and variants of a data set; a feature set,
         for a map of the images; all models, of which the best shows where it looked
    out  report.html, figures/; answer.txt, the lines that end a run; model_card.md
    """
    input:
        source="data/{dataset}/source.json",
        manifest="results/{dataset}/manifest.parquet",
        unusable="results/{dataset}/unusable.csv",
        copies="results/{dataset}/copies.parquet",
        splits="results/{dataset}/splits.parquet",
        metrics="results/{dataset}/metrics.parquet",
        summary="results/{dataset}/summary.parquet",
        class_metrics="results/{dataset}/class_metrics.parquet",
        thresholds="results/{dataset}/thresholds.parquet",
        abstention="results/{dataset}/abstention.parquet",
        predictions="results/{dataset}/predictions.parquet",
        audit="results/{dataset}/audit.parquet",
        labels="results/{dataset}/labels.parquet",
        robustness=inputs.robustness,
        histories=inputs.each("results/{dataset}/{fold}/{run}/history.csv"),
        tuning=inputs.searches,
        images=inputs.images,
        shards=inputs.shards,
        augmented=inputs.augmented,
        features=inputs.labelled,
        models=inputs.each(*MODELS),
        views=inputs.each("results/{dataset}/images/{view}.h5"),
        parts=inputs.each("results/{dataset}/images/{view}.shards/{shard}.h5"),
    output:
        page=report(
            "results/{dataset}/report.html",
            caption="../report/report.rst",
            category="{dataset}",
            labels={"figure": "the page"},
        ),
        answer="results/{dataset}/answer.txt",
        model_card="results/{dataset}/model_card.md",
        figures=[
            report(
                f"results/{{dataset}}/figures/{name}",
                caption=f"../report/{Path(name).stem}.rst",
                category="{dataset}",
                labels={"figure": Path(name).stem.replace("_", " ")},
            )
            for name in FIGURES
        ],
    log:
        "logs/{dataset}/write_report.log",
    localrule: SMALL
    conda:
        STAGES["write_report"].conda
    resources:
        **resources("write_report"),
    params:
        cfg=params.cfg("write_report"),
        stages=list(STAGES),
        code=code("write_report", "report/page"),
    script:
        "../scripts/write_report.py"


rule write_paper:
    """What goes into a paper: tables and the paragraph on methods as LaTeX, figures with their fonts as PDF.

    in   what the report's tables and drawings are made from
    out  paper/
    """
    input:
        source="data/{dataset}/source.json",
        manifest="results/{dataset}/manifest.parquet",
        unusable="results/{dataset}/unusable.csv",
        copies="results/{dataset}/copies.parquet",
        splits="results/{dataset}/splits.parquet",
        metrics="results/{dataset}/metrics.parquet",
        summary="results/{dataset}/summary.parquet",
        class_metrics="results/{dataset}/class_metrics.parquet",
        thresholds="results/{dataset}/thresholds.parquet",
        abstention="results/{dataset}/abstention.parquet",
        predictions="results/{dataset}/predictions.parquet",
        audit="results/{dataset}/audit.parquet",
        labels="results/{dataset}/labels.parquet",
        robustness=inputs.robustness,
        histories=inputs.each("results/{dataset}/{fold}/{run}/history.csv"),
        tuning=inputs.searches,
        images=inputs.images,
        shards=inputs.shards,
        features=inputs.labelled,
    output:
        tables="results/{dataset}/paper/tables.tex",
        methods="results/{dataset}/paper/methods.tex",
        figures=[
            f"results/{{dataset}}/paper/{Path(name).stem}.pdf"
            for name in FIGURES
            if Path(name).suffix == ".svg"
        ],
    log:
        "logs/{dataset}/write_paper.log",
    benchmark:
        "results/{dataset}/benchmarks/write_paper.tsv"
    localrule: SMALL
    conda:
        STAGES["write_paper"].conda
    resources:
        **resources("write_paper"),
    params:
        cfg=params.cfg("write_paper"),
        code=code("write_paper"),
    script:
        "../scripts/write_paper.py"
