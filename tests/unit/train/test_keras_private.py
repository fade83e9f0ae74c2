"""What is used of Keras without a public name is there in the version that is installed."""

from __future__ import annotations

import pytest

from darkroom.train import backbones, keras_backend, keras_private
from tests.support.backbone_weights import MOBILENET, SHAPE

keras = keras_backend.start(1)
SAID = f"Keras {keras.__version__} has not what 3.15 has: see darkroom/train/keras_private.py"


def test_tensorflow_can_be_hidden() -> None:
    from keras.src.utils.module_utils import tensorflow

    assert tensorflow.available and tensorflow._available is True, SAID
    try:
        keras_private.hide_tensorflow()
        assert not tensorflow.available, SAID
    finally:
        tensorflow._available = True


def test_every_application_has_its_preprocessing() -> None:
    for name in backbones.names():
        assert callable(backbones._module_of(getattr(keras.applications, name)).preprocess_input)


@pytest.mark.parametrize("name", ["VGG16", "ResNet50V2", "MobileNetV3Small", "ConvNeXtTiny"])
def test_an_application_asks_for_its_weights(name: str) -> None:
    found = backbones.official(name, {}, (224, 224, 3))
    assert found.address.startswith("https://") and found.name.endswith(".h5"), SAID


def test_weights_that_were_not_made_are_forgotten() -> None:
    with keras_private.shapes_alone():
        wide = keras.Sequential([keras.Input((10,)), keras.layers.Dense(10**9)])
    assert wide.variables[0].shape == (10, 10**9)
    with keras.StatelessScope():
        pass  # where it ends, Keras makes the weights that it remembers
    assert wide.variables[0]._value is None, SAID


def test_the_download_of_keras_is_put_back_after_an_application_was_asked() -> None:
    from keras.src.utils import file_utils

    download = file_utils.get_file
    assert backbones.official(**MOBILENET, shape=SHAPE).name.endswith(".h5")
    assert file_utils.get_file is download, SAID
