"""Classifiers on feature sets: fitted by scikit-learn, calibrated, saved without pickle.

Reads a feature set (`features.h5`), `splits.parquet` and, where the classifier is tuned,
`best.json`; writes `model.skops` and `predictions.parquet` (docs/formats.md).

What others call:

- `fitting.fit_classifier`, the stage, with its settings `fitting.FitClassifier`; `fitting.validate`
  fits for a trial of a search and writes nothing.
- `model_file.load` reads a model file; `model_file.Fitted` gives probabilities.
- `onnx_graph.continued` puts a classifier behind its network, in one ONNX graph.
- `kinds.check_settings` refuses settings that an estimator does not accept, and `cost` estimates the
  time, cores and rows of a fit: both before anything runs, so they import nothing slow.

Inside: `estimators` makes a scikit-learn estimator from settings, `svm_pairs` fits and evaluates
an SVM of many classes, `calibration` learns its probabilities, `coupling` those of several classes,
`rows` samples and folds rows.
"""
