"""The search for settings of networks and classifiers, by Optuna.

A trial is a job of its own: it draws settings, trains or fits with them, and writes what the
validation rows say of them. `model_trials.try_model` and `classifier_trials.try_classifier` are
the two kinds of trial; `choose.choose_setting` and `choose.choose_classifier_setting` take the
best of a search. `trials` is what both kinds share: the drawing, the journal, early stopping.

Reads what the training of a network, or the fit of a classifier, reads. Writes
`{fold}/tuning/…/trial-{n}.json`, `best.json` and `trials.csv`; docs/formats.md describes them.
"""
