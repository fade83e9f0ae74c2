"""Which layers of a pretrained network train on."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from darkroom.errors import UserError
from darkroom.train import backbones, fine_tuning, keras_backend
from darkroom.train.keras_private import shapes_alone
from tests.support.backbone_weights import MOBILENET, SHAPE, mobilenet_weights

keras = keras_backend.start(1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return mobilenet_weights(tmp_path_factory.mktemp("weights") / "mine.h5")


@pytest.mark.parametrize(
    ("application", "last", "first_of_last", "blocks"),
    [
        ("VGG16", "block5", "block5_conv1", 5),
        ("MobileNet", "conv_13", "conv_dw_13", 13),
        ("MobileNetV2", "block_16", "block_16_expand", 16),
        ("ResNet50", "conv5_block3", "conv5_block3_1_conv", 16),
        ("EfficientNetB0", "block7a", "block7a_expand_conv", 16),
        ("DenseNet121", "conv5_block16", "conv5_block16_0_bn", 58),
        ("Xception", "block14", None, 14),
        ("InceptionV3", "mixed10", None, 11),
        ("ConvNeXtTiny", "convnext_tiny_stage_3_block_2",
         "convnext_tiny_stage_3_block_2_depthwise_conv", 21),
    ],
)  # fmt: skip
def test_the_blocks_of_an_application_by_its_layers_names(
    application: str, last: str, first_of_last: str | None, blocks: int
) -> None:
    maker = getattr(keras.applications, application)
    with shapes_alone():
        base = maker(include_top=False, weights=None, input_shape=(75, 75, 3))
    names = [layer.name for layer in base.layers]
    of_layer = fine_tuning.blocks(names)
    ordered = list(dict.fromkeys(of_layer))
    assert (ordered[-1], len(ordered)) == (last, blocks)
    assert of_layer[-1] == last and "" not in of_layer
    # a block is a run of layers: none of it stands elsewhere
    assert len(ordered) == 1 + sum(a != b for a, b in pairwise(of_layer))
    first = fine_tuning.first_trained(names, 1, None)
    assert of_layer[first] == last and of_layer[first - 1] == ordered[-2]
    if first_of_last:
        assert names[first] == first_of_last
    if application == "InceptionV3":  # its branches lead to the concatenation that names them
        convolutions = [x for x in base.layers[first:] if isinstance(x, keras.layers.Conv2D)]
        assert len(convolutions) == 9
    keras.backend.clear_session()


def test_the_last_blocks_train_and_batch_norm_does_not(weights: str) -> None:
    made = backbones.build(**MOBILENET, pool="average", shape=SHAPE, weights=weights)
    assert fine_tuning.unfreeze(made, {"blocks": 2, "start": None}) == "conv_pad_12"
    trained = {w.path.split("/")[0] for w in made.trainable_weights}
    assert trained == {"conv_dw_12", "conv_pw_12", "conv_dw_13", "conv_pw_13"}
    assert fine_tuning.unfreeze(made, {"blocks": None, "start": "conv_pw_13"}) == "conv_pw_13"
    assert [w.path for w in made.trainable_weights] == ["conv_pw_13/kernel"]
    before = made.get_weights()
    network = keras.Model(made.input, keras.layers.Dense(1)(made.output))
    network.compile(keras.optimizers.SGD(0.1), "mse")
    images = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), dtype=np.uint8)
    network.train_on_batch(images, np.ones((4, 1)))
    moved = [
        v.path
        for v, a, b in zip(made.weights, before, made.get_weights(), strict=True)
        if not np.array_equal(a, b)
    ]
    assert moved == ["conv_pw_13/kernel"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((99, None), "fine_tune.blocks is 99, and the backbone has 2"),
        ((None, "blck2_conv"), "did you mean 'block2_conv'?"),
    ],
)
def test_blocks_that_are_not_there(asked: tuple[int | None, str | None], said: str) -> None:
    with pytest.raises(UserError) as error:
        fine_tuning.first_trained(["input", "block1_conv", "block2_conv"], *asked)
    assert said in str(error.value)


def test_names_that_tell_no_blocks() -> None:
    with pytest.raises(UserError, match="are not named by blocks; give"):
        fine_tuning.first_trained(["input", "conv2d", "conv2d_1"], 1, None)
