"""The classes of new pictures, by any trained classifier.

Entries: `predict.predict_images` for the workflow, `command` (`python -m darkroom predict`) for a
person; `picture` has what they share. `unseen` finds and decodes the pictures; its `digest` is
called while the Snakefile is read. `darkroom.models` opens a classifier; `export` writes it as a
folder, for the workflow by `export_model.export_model`. `labelled` finds the true classes of
pictures, `external` scores these beside the model's own test, and `external_page` shows that.
`robustness.measure_robustness` predicts images that `corruptions` made worse. Written are `predictions/{name}.csv` and `robustness.parquet` (docs/formats.md).
"""
