"""What is needed of Keras and has no public name, in one place.

Written for Keras 3.15; tests/unit/train/test_keras_private.py checks that the names are there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def hide_tensorflow() -> None:
    """Let Keras do without TensorFlow, on another backend.

    To read a model's file it would import TensorFlow, which takes seconds and may take the GPU.
    """
    from keras.src.utils.module_utils import tensorflow

    tensorflow._available = False


@contextmanager
def downloads_answered(answer: Callable[[str, str, str | None], str]) -> Iterator[None]:
    """Let a function stand in for the downloads of Keras.

    Keras has no other way to ask which file of weights an application wants.

    Parameters
    ----------
    answer : called with the address, the file's name and its digest or None; gives a path.
    """
    from keras.src.utils import file_utils

    get_file = file_utils.get_file
    signature = inspect.signature(get_file)

    def stand_in(*args: Any, **kwargs: Any) -> str:
        arguments = signature.bind(*args, **kwargs).arguments
        digest = arguments.get("file_hash") or arguments.get("md5_hash")
        return answer(arguments["origin"], arguments["fname"], digest)

    file_utils.get_file = stand_in
    try:
        yield
    finally:
        file_utils.get_file = get_file


@contextmanager
def shapes_alone() -> Iterator[None]:
    """Let networks be built without arrays, to see the shapes of their layers and weights.

    Keras remembers the weights that it did not make, and would make all of them with the next
    network: they are forgotten.
    """
    import keras
    from keras.src.backend.common import global_state

    unmade = "uninitialized_variables"
    before = list(global_state.get_global_attribute(unmade) or [])
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute(unmade, before)
