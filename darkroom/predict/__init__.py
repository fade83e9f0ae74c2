"""The classes of new pictures, by any trained classifier.

Entries: `predict.predict_images` for the workflow, `python -m darkroom predict` for a person.
`unseen` finds and decodes the pictures; its `digest` is called while the Snakefile is read.
`trained` opens a classifier by the files in `results`. Written is `predictions/{name}.csv`
(docs/formats.md).
"""
