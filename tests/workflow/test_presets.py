"""Each preset runs to its report, from a local server or mirror that has its source's true layout.

Few images, few epochs, small pictures; networks, splits, filters and classifiers are the preset's.
"""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import yaml

from darkroom import ROOT
from darkroom.images.resize import size_of
from darkroom.predict.unseen import examine_bytes
from darkroom.serve.models import Served
from tests.support import published_layouts, published_trees
from tests.support.small_presets import Published, preset, small
from tests.support.workspace import Workspace, make_workspace

PRESETS = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    folder = tmp_path_factory.mktemp("published")
    published_trees.chest_xray(folder / "chest-xray-covid19-pneumonia.zip")
    published_trees.cat_and_dog(folder / "cat-and-dog.zip")
    published_trees.pet_images(folder / "kagglecatsanddogs_5340.zip")
    published_trees.pet_images(folder / "microsoft-catsvsdogs-dataset.zip")
    published_trees.imagenette(folder / "imagenette2.tgz")
    published_trees.mnist_png(folder / "mnist-png.zip")
    published_trees.cifar10_folders(folder / "cifar10.zip")
    published_layouts.mnist_idx(folder)
    (folder / "fashion-mnist").mkdir()
    published_layouts.mnist_idx(folder / "fashion-mnist")
    published_layouts.cifar10_binary(folder / "cifar-10-binary.tar.gz")
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Published(folder, f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()


@pytest.fixture
def clone(tmp_path: Path) -> Workspace:
    made = make_workspace(tmp_path)
    shutil.rmtree(tmp_path / "pictures")
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    return made


def run(clone: Workspace, name: str, overlay: dict[str, Any], *targets: str) -> Path:
    """Run a preset with an overlay; its data set's results."""
    (clone.root / "small.yaml").write_text(yaml.safe_dump(overlay, sort_keys=False))
    files = ("--configfile", f"presets/{name}.yaml", "small.yaml")
    done = clone.snakemake(*targets, *files)
    assert done.returncode == 0, done.stdout
    (dataset,) = preset(name)["run"]["datasets"]
    return clone.root / "results" / dataset


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_runs_to_its_report(name: str, clone: Workspace, published: Published) -> None:
    overlay = small(name, published)
    weights(name, overlay, published)
    results = run(clone, name, overlay)
    assert (results / "report.html").stat().st_size > 20_000
    metrics = pandas.read_csv(results / "metrics.csv")
    said = preset(name)
    asked = set(said["run"].get("classifiers", []))
    assert asked <= set(metrics["classifier"])
    for model in said["run"]["models"]:
        assert metrics["model"].str.startswith(model).any(), model
    assert metrics["accuracy"].between(0, 1).all()
    assert EXPECTED.get(name, lambda _: True)(results)


def weights(name: str, overlay: dict[str, Any], published: Published) -> None:
    """Untrained weights in the true format, in place of the official file."""
    for features, settings in preset(name).get("features", {}).items():
        if settings["kind"] != "backbone":
            continue
        path = published.folder / f"{settings['application']}.weights.h5"
        if not path.exists():
            import keras

            build = getattr(keras.applications, settings["application"])
            options = settings.get("settings", {})
            build(weights=None, include_top=False, input_shape=(32, 32, 3), **options).save_weights(
                path
            )
        overlay["features"][features]["weights"] = str(path)


def classes(results: Path) -> list[str]:
    indices: dict[str, int] = json.loads((results / "class_indices.json").read_text())
    return list(indices)


def parts(results: Path) -> dict[tuple[str, str], int]:
    split = pandas.read_parquet(results / "splits.parquet")
    counted = split.groupby(["label", "holdout"]).size()
    return {(str(a), str(b)): int(n) for (a, b), n in counted.items()}


def chest_xray(results: Path) -> bool:
    """The quotas hold, only COVID images have the five filters' variants, and it can be served."""
    import h5py

    counts = parts(results)
    covid = [counts["covid", part] for part in ("train", "validation", "test")]
    assert covid[0] + covid[1] == 12 and covid[2] == 12
    assert counts["normal", "test"] == 6 and counts["pneumonia", "test"] == 8
    with h5py.File(next((results / "augmented").glob("*.h5"))) as file:
        assert len(json.loads(file.attrs["variants"])) == 1 + 5
        labels = json.loads(file.attrs["labels"])
        assert {labels[i] for i in file["label"][:]} == {"COVID19"}
    assert classes(results) == ["normal", "covid", "pneumonia"]
    served = Served.load(str(results))
    assert served.notice.startswith("Not for medical use.")
    image = next((results.parents[1] / "data/chest_xray").rglob("COVID19(1).jpg"))
    pixels = np.zeros((1, *size_of(served.model.view)), np.uint8)
    view, policy = served.model.view, served.model.policy
    examined = examine_bytes(image.read_bytes(), image.name, pixels[0], view=view, policy=policy)
    (one,) = served.predict([image.name], pixels, [examined])
    assert one.predicted in classes(results) and one.probabilities.sum() == pytest.approx(1)
    return True


def imagenette(results: Path) -> bool:
    """Words in place of synsets; val/ is the test set and none of it is trained on."""
    split = pandas.read_parquet(results / "splits.parquet")
    assert (split.loc[split["given"] == "validation", "holdout"] == "test").all()
    assert set(split.loc[split["holdout"] == "test", "given"]) == {"validation"}
    return classes(results)[:3] == ["tench", "English springer", "cassette player"]


def cats_dogs_binary(results: Path) -> bool:
    """The given test folder is the test set; one sigmoid unit tells the classes."""
    import zipfile

    counts = parts(results)
    assert counts["cats", "test"] == counts["dogs", "test"] == 10
    model = next(results.glob("holdout/*/model.keras"))
    with zipfile.ZipFile(model) as file:
        layers = json.loads(file.read("config.json"))["config"]["layers"]
    return bool(layers[-1]["config"]["units"] == 1)


def fashion_mnist(results: Path) -> bool:
    """IDX files number the classes; the preset has their names, in that order."""
    found = classes(results)
    assert (len(found), found[0], found[-1]) == (10, "T-shirt/top", "Ankle boot")
    return True


EXPECTED = {
    "fashion_mnist": fashion_mnist,
    "chest_xray": chest_xray,
    "imagenette_cnn": imagenette,
    "imagenette_vgg16": imagenette,
    "imagenette_resnet": imagenette,
    "cats_dogs_binary": cats_dogs_binary,
}


@pytest.mark.parametrize(
    ("name", "archive", "per_class"),
    [("mnist_cnn", "mnist-png.zip", (12, 6)), ("cifar10_cnn", "cifar10.zip", (12, 6))],
)
def test_the_same_data_as_class_folders(
    name: str, archive: str, per_class: tuple[int, int], clone: Workspace, published: Published
) -> None:
    overlay = small(name, published)
    (dataset,) = overlay["datasets"]
    overlay["datasets"][dataset]["source"] = str(published.folder / archive)
    results = run(clone, name, overlay, f"results/{dataset}/splits.parquet")
    split = pandas.read_parquet(results / "splits.parquet")
    assert set(split["label"].value_counts()) == {sum(per_class)}
    assert (split["holdout"] == "test").sum() == 10 * per_class[1]


def test_every_preset_is_in_the_table() -> None:
    table = (ROOT / "presets/README.md").read_text()
    assert [name for name in PRESETS if f"--configfile presets/{name}.yaml" not in table] == []
