"""Which layers of a backbone train on after its head."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from darkroom.errors import UserError, nearest
from darkroom.train.layers import leaves

if TYPE_CHECKING:
    from darkroom.train.settings import FineTune

# A layer's name up to the number of its block: `block5_conv1`, `conv5_block3_1_conv`,
# `block_16_expand`, `block7a_dwconv`, `…_stage_3_block_2_identity`, `block8_10_conv`,
# `expanded_conv_10_project`, `conv_dw_13`, `conv_pw_13_bn`; where cells end in a
# concatenation, that one: `mixed10`, `normal_concat_12`.
BLOCK = re.compile(
    r"^block\d+_\d+(?=_)"
    r"|^(?:.*_)?(?:"
    r"block_?\d+[a-z]?(?=_|$)|expanded_conv_\d+(?=_|$)|conv_(?:pad|dw|pw)_\d+(?=_|$)"
    r"|mixed_?\d+[a-z]?$|(?:normal|reduction)_concat_\w+$)"
)


def within(network: Any) -> Any:
    """The application in a network on a backbone."""
    return next(layer for layer in network.layers if hasattr(layer, "layers"))


def blocks(layers: Sequence[str]) -> list[str]:
    """The block of each layer of an application, from its name alone.

    A layer whose name names no block belongs to the next one whose name does: what leads to a
    concatenation, a stem to the first block. What comes after the last block belongs to it.

    Parameters
    ----------
    layers : names in the network's order.

    Returns
    -------
    For each, the block's name; empty strings where no layer names one.
    """
    found = [BLOCK.match(name) for name in layers]
    # a depthwise and its pointwise convolution are one block
    keys = [re.sub(r"_(pad|dw|pw)_", "_", match[0]) if match else "" for match in found]
    last = next((key for key in reversed(keys) if key), "")
    for at in range(len(keys) - 1, -1, -1):
        keys[at] = last = keys[at] or last
    return keys


def first_trained(names: Sequence[str], last: int | None, start: str | None) -> int:
    """Index of the layer that fine-tuning begins with.

    Parameters
    ----------
    names : of the application's layers, in order.
    last : how many blocks from the end, or None.
    start : else the layer's name.

    Raises
    ------
    UserError
        No such layer; more blocks than there are; names that name no blocks.
    """
    if start is not None:
        if start not in names:
            raise UserError(
                f"fine_tune.start: no layer {start!r} in the backbone" + nearest(start, names)
            )
        return list(names).index(start)
    assert last is not None
    of_layer = blocks(names)
    ordered = [key for key in dict.fromkeys(of_layer) if key]
    if not ordered:
        raise UserError(
            "fine_tune.blocks: the layers of this backbone are not named by blocks; give "
            "fine_tune.start, the layer to train from, instead"
        )
    if last > len(ordered):
        raise UserError(f"fine_tune.blocks is {last}, and the backbone has {len(ordered)}")
    return of_layer.index(ordered[-last])


def unfreeze(network: Any, fine_tune: FineTune) -> str:
    """Let the last layers of the backbone in a network train too; batch norm stays as it is.

    Parameters
    ----------
    network : on a backbone, from `backbones.build`.
    fine_tune : its `blocks` or its `start`.

    Returns
    -------
    Name of the first layer that trains.

    Raises
    ------
    UserError
        As `first_trained`.
    """
    import keras

    base = within(network)
    names = [str(layer.name) for layer in base.layers]
    first = first_trained(names, fine_tune["blocks"], fine_tune["start"])
    base.trainable = True
    for layer in base.layers[:first]:
        layer.trainable = False
    for layer in leaves(base):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return names[first]
