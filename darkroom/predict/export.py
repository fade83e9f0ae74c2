"""Write a trained network as a folder that predicts elsewhere, without Darkroom, Keras or Snakemake.

The folder holds the very code that decodes and resizes here, so that it cannot differ.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from darkroom import __version__, decode, errors
from darkroom.decode.policy import FULL
from darkroom.errors import UserError
from darkroom.evaluate.tables import read_table
from darkroom.features import predictions
from darkroom.images import resize
from darkroom.infer import run as infer_run
from darkroom.machine import disk
from darkroom.machine.installed import version
from darkroom.names import HEAD
from darkroom.predict import exported, picture, trained
from darkroom.predict.trained import Trained

PACKAGES = ("onnxruntime", "numpy", "opencv-python-headless", "pillow")
PICTURES = 3
# An export has no pool of workers, in which large images wait for each other.
WORKERS = '''"""What the decoder takes from Darkroom's pool of workers, of which there is none here."""

from contextlib import nullcontext


def in_turn(size: int) -> nullcontext[None]:
    """Nobody waits."""
    return nullcontext()
'''
FORMAT = 1


def export(model: str, output: str) -> None:
    """Write the folder, whole or not at all.

    Parameters
    ----------
    model : as `trained.find` takes it.
    output : the folder to write, see docs/formats.md.

    Raises
    ------
    UserError
        The folder is there; the model is no network in its place in `results`.
    """
    place = Path(output).expanduser()
    if place.exists():
        raise UserError(f"{output} is there already: name a new folder, or remove it")
    found = trained.find(model)
    if found.run.classifier != HEAD or found.network is None:
        raise UserError(
            f"{found.name} is a classifier on features, and networks alone can be exported: name "
            f"the folder of a network, such as {model}/holdout/cnn-seed0"
        )
    results = Path(found.network).absolute().parents[2]
    threshold, how = trained.threshold(str(results / "thresholds.parquet"), found) or (0.5, "")
    with disk.full_disk_in_words(str(place.absolute().parent)):
        part = place.with_name(f".{place.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            _write(found, results, part, threshold, how)
            part.rename(place)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _write(found: Trained, results: Path, out: Path, threshold: float, how: str) -> None:
    assert found.network is not None
    _pictures(found, results, out / "pictures", threshold)
    shutil.copyfile(found.network, out / "model.onnx")
    _json(out / "class_indices.json", {name: at for at, name in enumerate(found.classes)})
    said = {
        "format": FORMAT,
        "darkroom": __version__,
        "view": found.view,
        "decode": {"white_level": FULL} | found.policy,
        "threshold": threshold,
        "threshold_chosen_for": how or None,
        "digest": found.digest(),
    }
    _json(out / "preprocessing.json", said)
    pins = [f"{name}=={version(name)}\n" for name in PACKAGES]
    (out / "requirements.txt").write_text("".join(pins), encoding="utf-8")
    (out / "README.md").write_text(_readme(found, results, threshold, how), encoding="utf-8")
    for name in ("predict.py", "check.py"):
        shutil.copyfile(_file(exported).with_name(name), out / name)
    _copy_code(out / "darkroom")


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _file(module: Any) -> Path:
    return Path(module.__file__)


def _copy_code(out: Path) -> None:
    """The modules that decode, resize and run."""
    package = _file(errors).parent
    modules = [errors, resize, infer_run]
    files = [_file(module) for module in modules] + sorted(_file(decode).parent.glob("*.py"))
    for file in files:
        to = out / file.relative_to(package)
        to.parent.mkdir(parents=True, exist_ok=True)
        (to.parent / "__init__.py").touch()
        shutil.copyfile(file, to)
    (out / "machine").mkdir()
    (out / "machine/__init__.py").touch()
    (out / "machine/workers.py").write_text(WORKERS, encoding="utf-8")
    (out / "__init__.py").write_text(f'"""Of Darkroom {__version__}."""\n', encoding="utf-8")


def _pictures(found: Trained, results: Path, out: Path, threshold: float) -> None:
    """Test images of the data set, and what `predictions.parquet` says of them."""
    import pandas as pd

    source = results.parents[1] / "data" / found.dataset / "source.json"
    try:
        root = results.parents[1] / json.loads(source.read_text(encoding="utf-8"))["root"]
        table = pd.read_parquet(results / "predictions.parquet")
    except (OSError, ValueError) as error:
        raise UserError(
            f"{found.network}: its test images and predictions.parquet are not in their place "
            f"({error}): export a model from its place in results"
        ) from None
    own = table[
        (table["feature_set"] == found.run.feature_set)
        & (table["classifier"] == HEAD)
        & (table["fold"] == found.run.fold)
        & (table["part"] == "test")
    ]
    wide = own[[f"{predictions.PREFIX}{name}" for name in found.classes]].to_numpy(np.float32)
    chosen: Any = np.unique(np.linspace(0, len(own) - 1, PICTURES).astype(int)) if len(own) else []
    out.mkdir()
    expected = {}
    for number, at in enumerate(chosen, start=1):
        path = root / own["path"].iloc[at]
        name = f"{number}{path.suffix}"
        shutil.copyfile(path, out / name)
        expected[name] = {
            "predicted": found.classes[int(predictions.decide(wide[[at]], threshold)[0])],
            "probabilities": dict(zip(found.classes, wide[at].tolist(), strict=True)),
        }
    _json(out / "expected.json", expected)


def _readme(found: Trained, results: Path, threshold: float, how: str) -> str:
    """The model card, and how the folder is used."""
    table = read_table(results / "metrics.parquet")
    own = table[
        (table["feature_set"] == found.run.feature_set)
        & (table["classifier"] == HEAD)
        & (table["fold"] == found.run.fold)
        & (table["part"] == "test")
    ]
    score = "It was not evaluated on test images."
    if len(own):
        row = own.iloc[0]
        score = (
            f"Accuracy on {int(row['n']):,} test images that it never saw: {row['accuracy']:.3f}; "
            f"balanced over the classes: {row['balanced_accuracy']:.3f}."
        )
    meaning = re.sub(r"^classes: ", "", picture.in_words(found, threshold, how))
    height, width, channels = resize.size_of(found.view)
    return f"""\
# {found.name}, trained on {found.dataset}

Classes: {meaning}.
{score}
It knows pictures like those that it learned from, and no others: a picture of anything else gets one of
these classes too. It is not made for medical use.

    pip install -r requirements.txt
    python check.py                 # three test images, with the predictions that they had
    python predict.py photo.jpg

```python
from predict import Model                     # this folder is on the path, or the current one

model = Model(threads=1)
data = open("photo.jpg", "rb").read()
print(model.predict(data), model.probabilities(data))
```

`model.onnx` takes `image`, (N, {height}, {width}, {channels}) uint8, and gives `probabilities`, `logits` and `features`; its metadata say
more. `preprocessing.json` says how a file becomes those pixels (`decode`, `view`); `predict.py` does it by
the code of Darkroom {__version__} in `darkroom/`. Other code may decode or resize otherwise, and then predict otherwise.
The pictures in `pictures/` are of the data set: its licence, and the people in it, are theirs.
"""
