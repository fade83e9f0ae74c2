"""Search for settings of networks and classifiers with Optuna.

Each trial is a job: it draws settings, trains or fits with them, and writes their score on the
validation rows. `model_trials.try_model` and `classifier_trials.try_classifier` are the two kinds
of trial; `choose.choose_setting` and `choose.choose_classifier_setting` choose the best of a
search. `trials` contains the shared parts: sampling, the journal and early stopping.

Reads what the training of a network, or the fit of a classifier, reads. Writes
`{fold}/tuning/…/trial-{n}.json`, `best.json` and `trials.csv`; docs/formats.md describes them.
"""
