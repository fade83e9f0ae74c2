"""A vector for each image, from whatever gives one, and the form of every classifier's predictions.

Entries, one a stage: `network.extract_features` (a layer of a trained network, and its own
predictions), `backbone.embed_images` (a frozen backbone), `describe.describe_images` (`hog`, or
the pixels themselves). Each reads prepared images and their stored variants, and writes `features.h5`
(docs/formats.md).

`predictions` reads and writes `predictions.parquet`, the one form of what any classifier predicts.
Classifiers, evaluation, report and new pictures call it.
"""
