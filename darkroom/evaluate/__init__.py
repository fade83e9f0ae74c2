"""How good the predictions of a data set are, with intervals.

Entry: `evaluate.evaluate_dataset`. It reads every `predictions.parquet` of a data set and writes
the tables `metrics`, `summary`, `class_metrics` and `thresholds`, and all predictions in one file
(docs/formats.md). The report and the prediction of new pictures read them by `tables.read_table`;
both take the best result by validation from `ranking`.

Inside: `run_rows` keeps of a run's predictions what scores need, `scores` scores the runs of a model
and classifier together, by `sums` (rates) and `areas` (ROC AUC); `intervals` turns variances into
bounds; `comparisons` says which of two is better; `thresholds` chooses those of two classes.
"""
