"""How good the predictions of a data set are, with intervals.

Entry: `evaluate.evaluate_dataset`. It reads every `predictions.parquet` of a data set and writes
its scores and all predictions in one table (docs/formats.md), which the report and the prediction
of new pictures read.
"""
