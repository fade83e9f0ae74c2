"""A head on a pretrained backbone: learned from cached features or on pixels, exported with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.names import EMBEDDING
from darkroom.train import backbones
from darkroom.train.backbones import Backbone
from darkroom.train.keras_backend import seed_everything
from darkroom.train.layers import Layer
from darkroom.train.network import add_layers

# Names that the exported network has before its head.
BEFORE = ("image", "pixels", "preprocess", EMBEDDING)


@dataclass(frozen=True)
class Head:
    """What stands on a backbone, and which one.

    Attributes
    ----------
    layers : as for `build_network`.
    classes : as for `build_network`.
    kind : `softmax` or `sigmoid`, as `head` of `build_network`.
    seed : as for `build_network`.
    backbone : what it stands on.
    weights : of the backbone, its HDF5 file.
    shape : (height, width, 3) of an image.
    """

    layers: Sequence[Layer]
    classes: int
    kind: str
    seed: int
    backbone: Backbone
    weights: str
    shape: tuple[int, ...]

    def on_features(self, shape: Sequence[int]) -> Any:
        """The head alone, from (B, …) float32 features to probabilities; errors of `build_network`.

        Parameters
        ----------
        shape : of one image's features.
        """
        import keras

        seed_everything(self.seed)
        features = keras.Input(tuple(shape), dtype="float32", name=EMBEDDING)
        return self._top(features, features)

    def on_pixels(self) -> Any:
        """The whole network, from uint8 pixels to probabilities; its backbone is frozen.

        The head begins with the weights that `on_features` gives it.

        Raises
        ------
        UserError
            As `build_network` and `backbones.build`.
        """
        # first: a backbone's dropout draws a seed too, if nothing more
        seed_everything(self.seed)
        body = backbones.build(
            self.backbone["application"],
            self.backbone["settings"],
            pool=self.backbone["pool"],
            shape=self.shape,
            weights=self.weights,
        )
        return self._top(body.input, body.output)

    def whole(self, head: Any, *, as_embedded: bool = True) -> Any:
        """The whole network, with the weights of a head that learned from features.

        Parameters
        ----------
        head : from `on_features`.
        as_embedded : the backbone computes in float32, as the features were computed; else as
            the policy says that holds.
        """
        import keras

        policy = keras.mixed_precision.dtype_policy()
        try:
            if as_embedded:
                keras.mixed_precision.set_dtype_policy("float32")
            network = self.on_pixels()
        finally:
            keras.mixed_precision.set_dtype_policy(policy)
        for layer in head.layers[1:]:
            network.get_layer(layer.name).set_weights(layer.get_weights())
        return network

    def _top(self, inputs: Any, x: Any) -> Any:
        return add_layers(
            inputs,
            x,
            self.layers,
            classes=self.classes,
            head=self.kind,
            taken=BEFORE,
            seed=self.seed,
        )
