"""Networks: from prepared images and a split to a trained Keras model.

`training.train_model` is the stage: it takes a prepared task (`prepare`), lets it learn (`loop`,
with a `checkpoint` after each epoch) and writes the file (`model_file`). `prepare` opens the rows
(`batches`), builds the network (`network` of `layers`, or `heads` on `backbones`, then
`fine_tuning`), and chooses how batches (`feed`, `augment`) reach it: `steps`, with a module for
Keras' own, TensorFlow's and JAX's, over one device or several (`devices`).
`weights.download_weights` is the stage that brings a backbone's weights.

Called by later stages: `keras_backend.start`, `prepare.prepare` and `loop.learn` (trials),
`backbones.build`, `batches`, `network.by_class`.

Reads images/{view}.h5, augmented/{view}.h5, splits.parquet, features/{features}.h5 and
data/weights/{features}.h5; writes model.keras, model.onnx, history.csv, data/weights/{features}.h5 and .onnx.
"""
