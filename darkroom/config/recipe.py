"""What `data` by itself runs: a recipe is settings in place of the defaults of config.yaml.

`transfer`: an SVM and a logistic regression on the features of a frozen, pretrained network.
`scratch`: the network of config.yaml, and classifiers on its features. `both`: one beside the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Name = Literal["transfer", "scratch", "both"]
Budget = Literal["quick", "good", "best"]
RECIPES = ("auto", "transfer", "scratch", "both")
BUDGETS = ("quick", "good", "best")
LEAST_SIDE = 8  # of a view in pixels: the network of config.yaml halves it twice
TINY = 32  # pixels: smaller images have no more for a network that learned from 224 to see
# The whole picture, in its own proportions. Five folds of 500 and of 1,000 photographs, three times, SVM on
# MobileNet 0.25: pad 0.946 and 0.950, crop 0.943 and 0.951, squash 0.939 and 0.951.
PRETRAINED_RESIZE = "pad"
FEW = 200  # images, below which the test part of one split would be a handful
FOLDS = 5
SVM_ROWS = 20_000  # a minute or two; the time grows with the square of the rows
HOST = "https://storage.googleapis.com"


@dataclass(frozen=True)
class Pretrained:
    """A network of `keras.applications` that learned from ImageNet.

    Attributes
    ----------
    name : of its feature set.
    words : its name for people.
    application, settings : of `keras.applications`.
    address : of its official weights without the top.
    digest : of that file: sha256 (64 hexadecimal digits) or md5 (32).
    work : multiplications of the forward pass of an image of 224 pixels, values that its layers put
        out, and weights.
    """

    name: str
    words: str
    application: str
    address: str
    digest: str
    work: tuple[float, float, float]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.address.rpartition("/")[2]

    def features(self) -> dict[str, Any]:
        """Its feature set, as `features` of the configuration has it."""
        own: dict[str, Any] = {"kind": "backbone", "application": self.application}
        if self.settings:
            own["settings"] = dict(self.settings)
        if len(self.digest) == 64:  # Keras has the others
            own["sha256"] = self.digest
        return own


MOBILENET = Pretrained(
    "mobilenet",
    "MobileNet (alpha 0.25)",
    "MobileNet",
    f"{HOST}/tensorflow/keras-applications/mobilenet/mobilenet_2_5_224_tf_no_top.h5",
    "dbdb03ee2a22fd895301636cd328b234bb3a9952358f436d82f46b81e0d5b0bf",
    (41e6, 4.3e6, 0.22e6),
    {"alpha": 0.25},
)
EFFICIENTNET = Pretrained(
    "efficientnet",
    "EfficientNetB0",
    "EfficientNetB0",
    f"{HOST}/keras-applications/efficientnetb0_notop.h5",
    "50bc09e76180e00e4465e1a485ddc09d",
    (385e6, 25e6, 4.0e6),
)
EFFICIENTNET_V2 = Pretrained(
    "efficientnet_v2",
    "EfficientNetV2S",
    "EfficientNetV2S",
    f"{HOST}/tensorflow/keras-applications/efficientnet_v2/efficientnetv2-s_notop.h5",
    "af0682fb74e8c54910f2d4393339c070",
    (2850e6, 42e6, 20e6),
)
NETWORKS = (MOBILENET, EFFICIENTNET, EFFICIENTNET_V2)


def backbone(budget: Budget, gpus: int) -> Pretrained:
    """The pretrained network for a budget.

    Top-1 accuracy on ImageNet (Keras' and the papers' figures): MobileNet 0.25 0.50, EfficientNetB0
    0.77, EfficientNetV2S 0.84; `work` is what they cost. On a processor the first gives 0.95 on 1,000 photographs of cats and dogs, in
    the time that a run takes to start and to end; the second costs ten times as much an image. A GPU does
    those in the time in which the images are read.

    Parameters
    ----------
    budget : of the run.
    gpus : that a job has.
    """
    if budget == "quick":
        return EFFICIENTNET if gpus else MOBILENET
    return EFFICIENTNET_V2 if gpus else EFFICIENTNET


@dataclass(frozen=True)
class Chosen:
    """The recipe of a run.

    Attributes
    ----------
    recipe : what runs.
    budget : as it was asked for, or the largest within the minutes asked for.
    why : the reason, in words.
    network : name of the feature set of the pretrained network; None: there is none.
    view : size and colour of tiny images; None: those of the data set.
    folds : of a small data set; None: the split is that of the data set.
    """

    recipe: Name
    budget: Budget
    why: str
    network: str | None = None
    view: dict[str, Any] | None = None
    folds: int | None = None

    @property
    def pretrained(self) -> Pretrained | None:
        """The pretrained network."""
        known = {network.name: network for network in NETWORKS}
        return known.get(self.network or "")

    @property
    def more(self) -> str:
        """What to put on the command line for a better result; nothing after the largest budget."""
        larger = dict(itertools.pairwise(BUDGETS))
        return f"budget={larger[self.budget]}" if self.budget in larger else ""

    @property
    def sentence(self) -> str:
        """What runs and why, for people."""
        parts = []
        if self.pretrained is not None:
            parts.append(f"classifiers on features of {self.pretrained.words}, learned on ImageNet")
            if self.budget == "best":
                parts.append("that network with its last blocks trained on")
        if self.recipe != "transfer":
            parts.append("a network from scratch with classifiers on its features")
        return f"Recipe {self.recipe} ({self.why}): {'; '.join(parts)}."

    def settings(self, dataset: str) -> dict[str, Any]:
        """The settings that stand in place of the defaults.

        Parameters
        ----------
        dataset : name of the data set.
        """
        models: dict[str, Any] = {}
        features: dict[str, Any] = {}
        classifiers = ["svm"]
        if self.pretrained is not None:
            features[self.pretrained.name] = self.pretrained.features()
            classifiers += ["logistic_regression"]
            if self.budget == "best":
                models["fine_tuned"] = _fine_tuned(self.pretrained.name)
        if self.recipe != "transfer":
            models["cnn"] = {"quick": {"seeds": [0]}, "good": {}, "best": {"epochs": 45}}[
                self.budget
            ]
            classifiers += ["random_forest"]
        found: dict[str, Any] = {
            "run": {"models": list(models), "features": list(features), "classifiers": classifiers},
            "models": models,
            "features": features,
            "classifiers": {name: {"refit": True} for name in classifiers},
        }
        found["classifiers"]["svm"]["max_rows"] = SVM_ROWS
        view = dict(self.view or {})
        if self.pretrained is not None:
            view["resize"] = PRETRAINED_RESIZE
        own = {"view": view} if view else {}
        if self.folds:
            own["split"] = {"folds": self.folds}
        if own:
            found["datasets"] = {dataset: own}
        return found


def _fine_tuned(backbone: str) -> dict[str, Any]:
    """A network whose head learns first and whose last blocks then learn on, at a low rate."""
    return {
        "backbone": backbone,
        "layers": [{"dropout": 0.3}],
        "optimizer": {"name": "adam", "learning_rate": 0.003},
        "schedule": {"name": "cosine"},
        "epochs": 30,
        "batch": 32,
        "fine_tune": {
            "blocks": 3,
            "epochs": 6,
            "learning_rate": 0.0001,
            "augment": {"shift": 0.08, "rotation": 8, "zoom": 0.08},
        },
        "seeds": [0, 1, 2],
    }


def in_place_of_defaults(
    config: Mapping[str, Any], defaults: Mapping[str, Any], recipe: Mapping[str, Any]
) -> dict[str, Any]:
    """A configuration with a recipe's settings wherever it has those of config.yaml, or none.

    Parameters
    ----------
    config : the merged configuration.
    defaults : config.yaml.
    recipe : settings.
    """
    found = dict(config)
    for key, new in recipe.items():
        here, default = config.get(key), defaults.get(key)
        if isinstance(new, dict) and isinstance(here, dict):
            found[key] = in_place_of_defaults(here, default or {}, new)
        elif here is None or here == default:
            found[key] = new
    return found
