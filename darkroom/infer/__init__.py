"""A trained network or a frozen backbone as `model.onnx`, and what it predicts, without Keras.

`export.write` is called where Keras is open: by `train_model` for its network and by
`download_weights` for a backbone. It walks the network (`layers`, `activations`, onto a `graph`) and
has the file compared with Keras (`parity`). Everything that only predicts on a processor calls
`run.Network`: features, new pictures. It needs ONNX Runtime, and `onnx` where it reads another
layer than the last hidden one (`cut`).

Writes model.onnx and data/weights/{features}.onnx (docs/formats.md), and reads them.
"""
