"""A network's file that came from anyone: refused by name before Keras builds anything of it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import UserError
from darkroom.train import keras_backend
from darkroom.train.foreign import load_network
from darkroom.train.model_file import write_model
from darkroom.train.network import build_network, mirrored

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a network with a layer of every kind."""
    keras_backend.start(1)
    layers: list[Any] = [
        {"whiten": {"size": 2, "activation": None}},
        {"conv": {"filters": 4, "size": 3, "stride": 1, "padding": "same", "activation": "relu",
                  "bias": True, "init": "he"}},
        {"batch_norm": {"momentum": 0.9, "scale": True, "epsilon": 0.001}},
        {"pool": {"size": 2, "stride": None, "kind": "max"}},
        {"pool": {"size": 1, "stride": None, "kind": "average"}},
        {"residual": {"filters": 6, "stride": 2, "activation": "relu"}},
        {"scale": {"factor": 0.5}},
        {"activation": {"function": "tanh"}},
        {"global_pool": {"kind": "max"}},
        {"dropout": {"rate": 0.1}},
        {"dense": {"units": 5, "activation": "relu"}},
    ]  # fmt: skip
    import numpy as np

    sample = np.random.default_rng(0).integers(0, 256, (6, 12, 12, 1)).astype(np.uint8)
    network = build_network(
        layers, shape=(12, 12, 1), classes=3, normalise="unit", mean=[0], std=[1], seed=0,
        sample=sample,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("own") / "model.keras"
    facts: Any = {"dataset": "d", "model": "m", "seed": 0, "fold": "holdout", "decode": {},
                  "classes": ["a", "b", "c"], "view": {"size": 12}}  # fmt: skip
    write_model(mirrored(network), str(path), facts)
    return path


def changed(own: Path, to: Path, **members: Change) -> str:
    """A copy whose JSON members are changed: `config`, `darkroom`."""
    with zipfile.ZipFile(own) as old, zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            data = old.read(info)
            change = members.get(info.filename.removesuffix(".json"))
            if change is not None:
                data = json.dumps(change(json.loads(data))).encode()
            new.writestr(info, data)
    return str(to)


def put(layer: dict[str, Any]) -> Change:
    """Put a layer in the place of the second one."""

    def change(config: dict[str, Any]) -> dict[str, Any]:
        old = config["config"]["layers"][1]
        config["config"]["layers"][1] = {
            "name": old["name"], "inbound_nodes": old["inbound_nodes"], **layer
        }  # fmt: skip
        return config

    return change


def test_what_darkroom_wrote_is_loaded(own: Path) -> None:
    assert load_network(str(own)).output_shape == (None, 3)


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (
            {"module": "keras.layers", "class_name": "Lambda", "registered_name": None,
             "config": {"function": {"module": "keras.visualization", "class_name": "function",
                                     "config": "plot_image_gallery",
                                     "registered_name": "plot_image_gallery"},
                        "arguments": {"path": "mine.txt"}}},
            "keras.layers.Lambda",
        ),
        (
            {"module": "keras.layers", "class_name": "Activation", "registered_name": None,
             "config": {"activation": {"module": "builtins", "class_name": "function",
                                       "config": "exec", "registered_name": "exec"}}},
            r"builtins.function \(exec\)",
        ),
        (
            {"module": "keras.layers", "class_name": "Dense", "registered_name": "my>Layer",
             "config": {"units": 3}},
            r"Dense \(my>Layer\)",
        ),
        ({"module": "os", "class_name": "system", "config": {}}, "os.system"),
        ({"class_name": "Dense", "config": {"units": 3}}, "Dense"),
        ({"module": ["keras"], "class_name": "Dense", "config": {"units": 3}}, "Dense"),
    ],
)  # fmt: skip
def test_other_classes_are_refused_by_name(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layer: dict[str, Any], named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = changed(own, tmp_path / "bad.keras", config=put(layer))
    before = set(tmp_path.iterdir())
    with pytest.raises(UserError, match=f"is refused: it holds .*{named}"):
        load_network(path)
    assert set(tmp_path.iterdir()) == before


def test_layers_larger_than_their_weights_are_refused(own: Path, tmp_path: Path) -> None:
    def widen(config: dict[str, Any]) -> dict[str, Any]:
        config["config"]["layers"][-1]["config"]["units"] = 10**9
        return config

    with pytest.raises(UserError, match="larger than the weights that stand in it"):
        load_network(changed(own, tmp_path / "wide.keras", config=widen))


def test_json_that_unpacks_to_much_is_not_read(own: Path, tmp_path: Path) -> None:
    path = changed(own, tmp_path / "a.keras", config=lambda config: {**config, "x": " " * 10**7})
    with pytest.raises(UserError, match=r"its config\.json unpacks to 10 MB"):
        load_network(path)


def test_other_members_are_refused(own: Path, tmp_path: Path) -> None:
    path = tmp_path / "more.keras"
    path.write_bytes(own.read_bytes())
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("assets/x.txt", "x")
    with pytest.raises(UserError, match=r"it holds 'assets/x\.txt'"):
        load_network(str(path))


def test_a_network_of_keras_applications_has_no_other_classes(tmp_path: Path) -> None:
    import keras

    base = keras.applications.ConvNeXtTiny(include_top=False, weights=None, input_shape=(32, 32, 3))
    image = keras.Input((32, 32, 3))
    keras.Model(image, base(image)).save(tmp_path / "base.keras")
    assert load_network(str(tmp_path / "base.keras")).output_shape == (None, 1, 1, 768)
