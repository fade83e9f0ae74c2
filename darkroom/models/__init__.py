"""A trained classifier, opened by its files in `results`, whatever it consists of.

Entries: `trained.find` and `trained.best`, whose `open` gives what turns pixels into probabilities;
`beside` reads what stands beside it (thresholds, notice); `heat.occlusion`, which shows where it looked. Nothing is written.
"""
