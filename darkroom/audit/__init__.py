"""What should not tell the classes: file headers, names, borders, thumbnails, mean colours.

Entry: `audit.audit_dataset`. It reads the manifest, the split, the prepared images and the headers of
the source's files, and writes `audit.parquet` (docs/formats.md), which the report compares with the
models' scores.

A check is a file with one `CHECK`, see `check`: `header`, `names`, `border`, `thumbnail`, `color`. A
new one is such a file and its name in `audit.CHECKS`. `sample` has the rows that all checks look at;
`labels` is a stage of its own, `check_labels`: labels that are likely wrong, and `outliers`. `probe` trains a small forest on what a check finds, on the models' training rows, and judges it on
the rows that judge the models.
"""
