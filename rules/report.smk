from darkroom.report.figure_names import FIGURES


rule report:
    """Target: the reports of all data sets in `run`."""
    input:
        inputs.each("results/{dataset}/report.html"),


rule evaluate_dataset:
    """Scores with intervals, of every network and classifier on the same rows.

    in   all predictions.parquet of a data set, manifest.parquet, splits.parquet
    out  metrics.csv (a row a run), summary.csv (over seeds and folds), class_metrics.csv, thresholds.csv, predictions.parquet
    """
    input:
        predictions=inputs.each(
            "results/{dataset}/{fold}/{run}/head/predictions.parquet",
            "results/{dataset}/{fold}/{fit}/predictions.parquet",
        ),
        manifest="results/{dataset}/manifest.parquet",
        splits="results/{dataset}/splits.parquet",
    output:
        metrics=report(
            "results/{dataset}/metrics.csv",
            caption="../report/metrics.rst",
            category="{dataset}",
            labels={"table": "every run"},
        ),
        summary=report(
            "results/{dataset}/summary.csv",
            caption="../report/summary.rst",
            category="{dataset}",
            labels={"table": "over seeds and folds"},
        ),
        classes=report(
            "results/{dataset}/class_metrics.csv",
            caption="../report/class_metrics.rst",
            category="{dataset}",
            labels={"table": "by class"},
        ),
        thresholds=report(
            "results/{dataset}/thresholds.csv",
            caption="../report/thresholds.rst",
            category="{dataset}",
            labels={"table": "thresholds of two classes"},
        ),
        predictions="results/{dataset}/predictions.parquet",
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


rule write_report:
    """One page that needs nothing else, and its figures for Snakemake's own report.

    in   the tables, histories, searches, prepared images and variants of a data set
    out  report.html, figures/
    """
    input:
        source="data/{dataset}/source.json",
        manifest="results/{dataset}/manifest.parquet",
        unusable="results/{dataset}/unusable.csv",
        splits="results/{dataset}/splits.parquet",
        metrics="results/{dataset}/metrics.csv",
        summary="results/{dataset}/summary.csv",
        classes="results/{dataset}/class_metrics.csv",
        thresholds="results/{dataset}/thresholds.csv",
        predictions="results/{dataset}/predictions.parquet",
        histories=inputs.each("results/{dataset}/{fold}/{run}/history.csv"),
        tuning=inputs.searches,
        images=inputs.images,
        shards=inputs.shards,
        augmented=inputs.augmented,
    output:
        page=report(
            "results/{dataset}/report.html",
            caption="../report/report.rst",
            category="{dataset}",
            labels={"figure": "the page"},
        ),
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
        code=code("write_report", "report/template.html"),
    script:
        "../scripts/write_report.py"
