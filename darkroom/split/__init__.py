"""From rows to parts: training, validation and test.

`plan.split_rows` is the stage; `plan.check` tries a split on a listing before a run. Both choose
the classes, find rows that stay together (`groups`), compute the wanted counts (`holdout`,
`folds`, `quotas`) and draw units (`assign`). All later stages read the split by
`splits.read_splits`; `splits.training_rows` alone chooses the images and variants to train on.

Reads `manifest.parquet`. Writes `splits.parquet` and `class_indices.json`.
"""
