"""A trained classifier in its place on the disk, and what it takes to ask it about a picture.

A network's file says by itself what its classes are and how a picture becomes its input. A
classifier on features says what the features are of; their network, or the weights of
their backbone, stand beside it in `results` and `data`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from darkroom import unlikeness
from darkroom.errors import UserError, nearest
from darkroom.features import predictions
from darkroom.features.predictions import Run
from darkroom.infer.run import Network, read_about
from darkroom.names import HEAD, run_name
from darkroom.sources.addresses import local_path

if TYPE_CHECKING:
    from darkroom.classify.model_file import Fitted
    from darkroom.decode.policy import Policy
    from darkroom.images.resize import View


Ask = Callable[[np.ndarray], tuple[np.ndarray, "np.ndarray | None"]]
LONGEST_SIDE = 16384  # pixels of a view
REQUIRED = {"dataset", "model", "seed", "fold", "classes", "view", "decode"}  # of a network's file


@dataclass(frozen=True)
class Opened:
    """A classifier that is loaded.

    Attributes
    ----------
    both : from (B, H, W, C) uint8 to (B, K) float32 probabilities, as they would be stored in
        `predictions.parquet`, and the (B,) unlikeness of the pictures; None where the model has none.
    limit : unlikeness from which on a picture is called unlike.
    set_from : probability from which on a class belongs to a picture's set; None: there is no set.
    """

    both: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
    limit: float = np.inf
    set_from: float | None = None

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """The probabilities alone."""
        return self.both(pixels)[0]


@dataclass(frozen=True)
class Trained:
    """A trained classifier.

    Attributes
    ----------
    dataset : that it learned from.
    run : its names; the classifier is `head` for a network's own predictions.
    classes : K names in order.
    view, policy : how a picture becomes its input.
    files : that it consists of.
    network : `model.onnx`, of a network or of a backbone; None where there is neither.
    layer : of the network, whose output the classifier reads.
    fitted : the classifier, None for `head`.
    """

    dataset: str
    run: Run
    classes: list[str]
    view: View
    policy: Policy
    files: list[str]
    network: str | None = None
    layer: str | None = None
    fitted: Fitted | None = None

    @property
    def name(self) -> str:
        """`cnn-seed0`, `cnn-seed0/svm`, and in a cross-validation `fold-2/cnn-seed0/svm`."""
        run = self.run
        parts = [run.fold] if run.fold != "holdout" else []
        parts += [run.feature_set] + ([run.classifier] if run.classifier != HEAD else [])
        return "/".join(parts)

    def digest(self) -> str:
        """sha256 of its file; of a classifier's and of what makes its features, joined by `+`."""
        return "+".join(_sha256(path) for path in self.files)

    def open(self, threads: int) -> Opened:
        """Load it; neither Keras nor TensorFlow is imported.

        Parameters
        ----------
        threads : cores to use.

        Raises
        ------
        UserError
            A file that is damaged; probabilities that are no numbers.
        """
        ask, limit = self._network(threads) if self.fitted is None else self._classifier(threads)

        def both(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
            found, unlike = ask(pixels)
            if not np.isfinite(found).all():
                raise UserError(
                    f"{self.files[0]}: what it says is no number: its training diverged; lower "
                    "its learning_rate or set clip_norm"
                )
            return predictions.as_stored(found), unlike

        return Opened(both, limit, set_from(self))

    def _network(self, threads: int) -> tuple[Ask, float]:
        assert self.network is not None
        if (found := unlikeness.read(Path(self.network).with_name("unlike.npz"))) is not None:
            known, layer = found
            layered = Network(self.network, threads=threads, layer=layer)

            def ask(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
                features, probabilities = layered.classified(pixels)
                return probabilities, known.of(features)

            return ask, known.limit
        network = Network(self.network, threads=threads)
        return lambda pixels: (network.classified(pixels)[1], None), np.inf

    def _classifier(self, threads: int) -> tuple[Ask, float]:
        assert self.fitted is not None
        fitted, describe = self.fitted, self._features(threads)
        known = fitted.learned_from

        def ask(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
            features = describe(pixels)
            unlike = None if known is None else known.of(features)
            return fitted.probabilities(features, threads), unlike

        return ask, np.inf if known is None else known.limit

    def _features(self, threads: int) -> Callable[[np.ndarray], np.ndarray]:
        """From (B, H, W, C) uint8 to (B, D) features, as the stage that made the feature set does it."""
        from darkroom.features.describe import describer
        from darkroom.images.resize import size_of

        if self.network is not None:
            network = Network(self.network, threads=threads, layer=self.layer)
            return lambda pixels: network(pixels).features
        assert self.fitted is not None
        made = self.fitted.about["made"]
        return describer(made["kind"], size_of(self.view), self.run.feature_set)[0]


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---------------------------------------------------------------- finding it


def find(path: str) -> Trained:
    """What a path names: a model's file, its folder, or a data set's results.

    Parameters
    ----------
    path : `model.onnx`, wherever it is, or `model.keras` beside it; `model.skops` in its place in
        `results`; the folder of either; or `results/{dataset}`: the best by its validation images.

    Raises
    ------
    UserError
        Nothing of the kind is there, or what belongs to it is missing.
    """
    place = local_path(path)
    if place.is_dir():
        for name in ("model.onnx", "model.keras", "model.skops"):
            if (place / name).is_file():
                return find(str(place / name))
        if (place / "summary.parquet").is_file():
            return find(best(str(place)))
        inside = sorted(str(p.parent.relative_to(place)) for p in place.rglob("model.[os]*"))
        few = ", ".join(inside[:4]) + (", …" if len(inside) > 4 else "")
        raise UserError(
            f"{path}: no model stands in this folder, and it is not that of a data set's finished "
            "results" + (f"; name one of its folders: {few}" if inside else "")
        )
    if not place.is_file():
        there = [p.name for p in place.parent.iterdir()] if place.parent.is_dir() else []
        near = nearest(place.name, there)
        raise UserError(f"{path}: there is no such model" + (near if "did you" in near else ""))
    if place.suffix == ".skops":
        return _of_classifier(place)
    if place.suffix in (".onnx", ".keras"):
        return _of_network(place.with_suffix(".onnx"))
    raise UserError(
        f"{path} is no model: one is called model.onnx (a network) or model.skops (a classifier)"
    )


def _of_network(place: Path) -> Trained:
    facts = _facts(place)
    model, seed = facts["model"], facts["seed"]
    name = run_name(model, seed)  # of its folder in results; elsewhere it is named by its file
    name = name if place.parent.name == name else place.stem
    return Trained(
        dataset=facts["dataset"],
        run=Run(model, seed, facts["fold"], name, HEAD),
        classes=list(facts["classes"]),
        view=facts["view"],
        policy=facts["decode"],
        files=[str(place)],
        network=str(place),
    )


def _facts(place: Path, because: str = "") -> dict[str, Any]:
    """What the file of a trained network says of it."""
    if not place.is_file():
        raise UserError(
            f"{because}{place} is not there. It predicts, model.keras does not: keep the files "
            "together as they stand in results, or train the network again if it is of an earlier "
            "version of Darkroom"
        )
    about = read_about(place)
    if not about.keys() >= REQUIRED:
        raise UserError(
            f"{place} does not say what its classes are and how a picture becomes its input: a "
            "backbone does not, and a trained network of this version of Darkroom does"
        )
    size = about["view"]["size"]
    if max([size] if isinstance(size, int) else size) > LONGEST_SIDE:
        raise UserError(f"{place} is refused: it asks for pictures of {size} pixels")
    return about


def _of_classifier(place: Path) -> Trained:
    from darkroom.classify import model_file

    fitted = model_file.load(str(place))
    about = fitted.about
    made = about.get("made") or {}
    kind = made.get("kind")
    common: dict[str, Any] = {
        "dataset": about["dataset"],
        "run": Run.on(about["features"], made, fold=about["fold"], classifier=place.parent.name),
        "classes": list(fitted.classes),
        "fitted": fitted,
    }
    if kind == "network":
        network = place.parent.parent / "model.onnx"
        facts = _facts(network, f"{place} reads the features of a network: ")
        return Trained(
            **common,
            view=facts["view"],
            policy=facts["decode"],
            files=[str(place), str(network)],
            network=str(network),
            layer=str(about["layer"]),
        )
    if kind == "backbone":
        weights = place.absolute().parents[5] / made["weights"]
        if not weights.is_file():
            raise UserError(
                f"{place} reads the features of {made['application']}, which is not at "
                f"{weights}: snakemake --cores all {made['weights']}"
            )
        return Trained(
            **common,
            view=made["view"],
            policy=made["decode"],
            files=[str(place), str(weights)],
            network=str(weights),
        )
    if kind is None:
        raise UserError(
            f"{place} does not say what its features are: fit it with this version of Darkroom"
        )
    return Trained(**common, view=made["view"], policy=made["decode"], files=[str(place)])


# ---------------------------------------------------------------- the best one


def file_of(results: str, fold: str, features: str, classifier: str) -> str:
    """Where the classifier of a run stands."""
    own = "model.onnx" if classifier == HEAD else f"{classifier}/model.skops"
    return f"{results}/{fold}/{features}/{own}"


def best(results: str, fold: str | None = None) -> str:
    """The best classifier of a data set by its validation images, as its report names it.

    Parameters
    ----------
    results : folder with `summary.parquet` and `metrics.parquet`.
    fold : the only one to be taken; None: any.

    Returns
    -------
    Path of its file.

    Raises
    ------
    UserError
        There is none.
    """
    from darkroom.evaluate import ranking
    from darkroom.evaluate.tables import read_table

    folder = local_path(results)
    choice = ranking.choose(read_table(folder / "summary.parquet", ("model", "classifier", "part")))
    if choice is None:
        raise UserError(f"{folder}: nothing was evaluated there")
    run = ranking.best_run(read_table(folder / "metrics.parquet"), choice.key, fold)
    if run is None:
        raise UserError(f"{folder}: {' on '.join(choice.key[::-1])} has no run in {fold}")
    return file_of(str(folder), run["fold"], run["feature_set"], run["classifier"])


def named(results: str, name: str, fold: str | None = None) -> str:
    """The file of a classifier of a data set's results, by its name.

    Parameters
    ----------
    results : folder of the data set.
    name : `cnn-seed0`, or on features `mobilenet/svm`; with its fold in front of it or not.
    fold : the only one to be looked in; None: the first that has it.

    Raises
    ------
    UserError
        There is none of this name.
    """
    folder = local_path(results)
    files = [*sorted(folder.glob("*/*/model.onnx")), *sorted(folder.glob("*/*/*/model.skops"))]
    runs = {str(file.parent.relative_to(folder)): file for file in files}
    for run, file in runs.items():
        first, _, rest = run.partition("/")
        if name == run or (name == rest and fold in (None, first)):
            return str(file)
    known = sorted({run.partition("/")[2] for run in runs})
    raise UserError(f"{folder}: there is no model {name!r}{nearest(name, known)}")


def threshold(path: str, trained: Trained) -> tuple[float, str] | None:
    """The threshold of a run and how it was chosen, from a data set's `thresholds.parquet`.

    Returns
    -------
    None where the file is not there or does not name the run.
    """
    if not Path(path).is_file():
        return None
    from darkroom.evaluate.tables import read_table  # a model that stands alone needs no SciPy

    table = read_table(path)
    own = table[
        (table["feature_set"] == trained.run.feature_set)
        & (table["classifier"] == trained.run.classifier)
        & (table["fold"] == trained.run.fold)
    ]
    return None if own.empty else (float(own["threshold"].iloc[0]), str(own["how"].iloc[0]))


def set_from(trained: Trained) -> float | None:
    """The probability from which on a class is in the set of a picture; None where nothing tells."""
    if said := _exported(trained):
        least = said.get("set_from")
        return None if least is None else float(least)
    path = results_of(trained) / "metrics.parquet"
    if not path.is_file():
        return None
    from darkroom.evaluate.tables import read_table

    table, run = read_table(path), trained.run
    own = (table["feature_set"] == run.feature_set) & (table["classifier"] == run.classifier)
    own &= (table["fold"] == run.fold) & (table["part"] == "validation")
    return float(table.loc[own, "set_from"].iloc[0]) if own.any() and "set_from" in table else None


def results_of(trained: Trained) -> Path:
    """The results that a classifier stands in: `results/{dataset}`, where it has its place there."""
    above = Path(trained.files[0]).absolute().parents
    return above[min(2 if trained.run.classifier == HEAD else 3, len(above) - 1)]


def threshold_beside(trained: Trained) -> tuple[float, str]:
    """The threshold of a run by its own results or export, and how it was chosen; else 0.5."""
    if said := _exported(trained):
        return float(said["threshold"]), said["threshold_chosen_for"] or ""
    return threshold(str(results_of(trained) / "thresholds.parquet"), trained) or (0.5, "")


def notice(trained: Trained) -> str:
    """The sentence that its data set wants above every prediction; empty where it wants none."""
    if said := _exported(trained):
        return str(said.get("notice", ""))
    summary = results_of(trained) / "summary.parquet"
    if not summary.is_file():
        return ""
    import pandas as pd

    return str(pd.read_parquet(summary).attrs.get("notice", ""))


def _exported(trained: Trained) -> dict[str, Any]:
    """What the folder of an export says; empty of another."""
    file = Path(trained.files[0]).with_name("preprocessing.json")
    said: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return said
