"""Keras is started quietly, with its threads, on the backend that was asked for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from darkroom.errors import UserError
from darkroom.train import keras_backend

keras_backend.start(1)


def test_importing_quietly_shows_what_went_wrong(capfd: pytest.CaptureFixture[str]) -> None:
    with keras_backend._silent_stderr():
        os.write(2, b"a page about drivers\n")
    assert "drivers" not in capfd.readouterr().err
    with pytest.raises(ImportError), keras_backend._silent_stderr():
        os.write(2, b"no such library\n")
        raise ImportError
    assert "no such library" in capfd.readouterr().err


def test_a_backend_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_backend.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"jax is not installed .* envs/backends\.in"):
        keras_backend.check("jax")
    with pytest.raises(UserError, match="there is no 'theano'; there are tensorflow, jax, torch"):
        keras_backend.check("theano")
    with pytest.raises(RuntimeError, match="tensorflow here already, not jax"):
        keras_backend.start(1, "jax")


def test_a_fresh_process_says_nothing_and_takes_its_threads() -> None:
    code = (
        "from darkroom.train import keras_backend\n"
        "keras_backend.start(3)\n"
        "import tensorflow as tf\n"
        "print(tf.config.threading.get_intra_op_parallelism_threads())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3" and done.stderr == ""


def test_no_backend_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys\n"
        "from darkroom.train.training import train_model\n"
        "from darkroom.features.network import extract_features\n"
        "from darkroom.features.backbone import embed_images\n"
        "from darkroom.predict.predict import predict_images\n"
        "print(sorted({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
