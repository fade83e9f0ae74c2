"""From rows to places: which row is for training, for validation, for the test.

`plan.split_rows` is the stage, and `plan.check` tries a split on a listing before a run: classes
are chosen, rows that stay together are found (`groups`), the wanted counts are worked out
(`holdout`, `folds`, `quotas`), and units are drawn (`assign`). `splits` is how all later stages
read the split: `read_splits`, and `training_rows`, which alone decides which images and variants
are trained on.

Reads `manifest.parquet`. Writes `splits.parquet` and `class_indices.json`.
"""
