"""Classifiers on feature sets: fitted by scikit-learn, calibrated, saved without pickle.

`fitting.fit` is the stage: it reads `features.h5`, `splits.parquet` and, where the classifier is
tuned, `best.json`, and writes `model.skops` and `predictions.parquet` (docs/formats.md).
`fitting.load` reads a model file. `svm_pairs` fits and evaluates an SVM of many classes.
"""
