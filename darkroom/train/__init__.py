"""Networks: from prepared images and a split to a trained Keras model.

Knows Keras and its backends, how a network is made of layers or on a pretrained backbone, how
batches of rows reach it, and how a killed training goes on.

Called from outside: `training.train_model` (the stage), `weights.download_weights` (the stage), `models.backend`
(Keras with so many threads), `backbones.build` and `batches` (by features and tuning).
Reads images/{view}.h5, augmented/{view}.h5, splits.parquet, features/{features}.h5 and
data/weights/{features}.h5; writes model.keras, history.csv and data/weights/{features}.h5.
"""
