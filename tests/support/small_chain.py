"""Small data sets taken through the stages to trained classifiers, each in its place in a folder.

The stages are called as the rules call them, so what comes after can be tried without Snakemake.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas

from darkroom.classify.fitting import fit_classifier
from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from darkroom.evaluate.evaluate import evaluate_dataset
from darkroom.features.describe import describe_images
from darkroom.features.network import extract_features
from darkroom.images.prepare import prepare_images
from darkroom.index.copies import find_copies
from darkroom.index.manifest import index_files
from darkroom.sources.download import download_source
from darkroom.split import plan
from darkroom.train import training
from tests.support.pictures import class_folders

CONFIG: dict[str, Any] = {
    "run": {"datasets": ["shapes"], "models": ["tiny"], "features": ["pixels", "hog"],
            "classifiers": ["svm", "forest"]},
    "datasets": {"shapes": {"source": "pictures", "view": {"size": 16, "resize": "pad"}}},
    "models": {"tiny": {"layers": [{"conv": 4}, {"pool": 2}, "flatten", {"dense": 8}],
                        "epochs": 2, "batch": 16, "optimizer": {"learning_rate": 0.01}}},
    "features": {"pixels": {"kind": "pixels", "view": {"size": 8, "color": "gray"}},
                 "hog": {"kind": "hog"}},
    "classifiers": {"svm": {"kind": "svm"},
                    "forest": {"kind": "random_forest", "settings": {"n_estimators": 8}}},
}  # fmt: skip


@dataclass
class Chain:
    """A working folder; paths are relative to it as they are in a run, so tests change to it."""

    root: Path
    kinds: tuple[str, ...] = ("cross", "disc")
    dataset: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        class_folders(self.root / "pictures", per_class=24, kinds=self.kinds)
        config = copy.deepcopy(CONFIG)
        config["datasets"]["shapes"] |= self.dataset
        self.settings = Settings.load(config)

    def results(self, name: str = "") -> str:
        return f"results/shapes/{name}"

    def cfg(self, stage: str, **wildcards: str) -> dict[str, Any]:
        return stage_settings(self.settings, stage, {"dataset": "shapes", **wildcards})

    def run(self) -> None:
        """Every stage from the source to the evaluation; the current folder is `root`."""
        source, manifest = "data/shapes/source.json", self.results("manifest.parquet")
        Path("data/shapes").mkdir(parents=True)
        download_source(source, cfg=self.cfg("download_source"))
        Path(self.results()).mkdir(parents=True)
        thumbnails, copies = self.results("thumbnails.npy"), self.results("copies.parquet")
        index_files(source, manifest, thumbnails, cfg=self.cfg("index_files"), threads=1)
        table = self.results("copies.csv")
        cfg = self.cfg("find_copies")
        find_copies(manifest, thumbnails, copies, table=table, cfg=cfg, threads=1)
        indices = self.results("class_indices.json")
        splits = self.results("splits.parquet")
        plan.split_rows(manifest, copies, splits, indices=indices, cfg=self.cfg("split_rows"))
        for view in self.settings.views_of("shapes"):
            cfg = self.cfg("prepare_images", view=view)
            prepare_images(source, manifest, self.pixels(view), cfg=cfg)
        for fold in self.settings.folds_of("shapes"):
            self.network(fold)
        for name in self.settings.features_of("shapes"):
            view = self.settings.view_of("shapes", name).name
            cfg = self.cfg("describe_images", features=name)
            describe_images(self.pixels(view), self.results(f"features/{name}.h5"), cfg=cfg)
        for fold in self.settings.folds_of("shapes"):
            for name in ("tiny-seed0", *self.settings.features_of("shapes")):
                for classifier in self.settings.classifiers_of("shapes"):
                    self.fit(fold, name, classifier)
        self.evaluate()

    def pixels(self, view: str) -> str:
        return self.results(f"images/{view}.h5")

    def network(self, fold: str) -> None:
        run = self.results(f"{fold}/tiny-seed0")
        Path(run).mkdir(parents=True)
        wildcards = {"fold": fold, "model": "tiny", "seed": "0"}
        pixels = self.pixels(self.settings.view_of("shapes", "tiny").name)
        data = (pixels, self.results("splits.parquet"), None)
        training.train_model(
            *data,
            model_path=f"{run}/model.keras",
            history_path=f"{run}/history.csv",
            resume=f"{run}/.resume",
            cfg=self.cfg("train_model", **wildcards),
            code="",
            threads=1,
        )
        extract_features(
            f"{run}/model.onnx",
            *data,
            features_path=f"{run}/features.h5",
            predictions_path=f"{run}/head/predictions.parquet",
            unlike_path=f"{run}/unlike.npz",
            cfg=self.cfg("extract_features", **wildcards),
            threads=1,
        )

    def fit(self, fold: str, name: str, classifier: str) -> None:
        frozen = name in self.settings.features
        own = self.results(f"features/{name}.h5" if frozen else f"{fold}/{name}/features.h5")
        place = self.results(f"{fold}/{name}/{classifier}")
        fit_classifier(
            own,
            self.results("splits.parquet"),
            model_path=f"{place}/model.skops",
            predictions_path=f"{place}/predictions.parquet",
            cfg=self.cfg("fit_classifier", fold=fold, features=name, classifier=classifier),
        )

    def evaluate(self, **changes: Any) -> None:
        told = sorted(map(str, Path(self.results()).glob("*/*/*/predictions.parquet")))
        evaluate_dataset(
            told,
            self.results("manifest.parquet"),
            self.results("splits.parquet"),
            metrics=self.results("metrics.parquet"),
            summary=self.results("summary.parquet"),
            class_metrics=self.results("class_metrics.parquet"),
            thresholds=self.results("thresholds.parquet"),
            abstention=self.results("abstention.parquet"),
            collected=self.results("predictions.parquet"),
            cfg=self.cfg("evaluate_dataset") | changes,
        )

    def said(self, fold: str, features_: str, classifier: str) -> pandas.DataFrame:
        """The data set's predictions of a run, by path, only of rows that it was not trained on."""
        table = pandas.read_parquet(self.results("predictions.parquet"))
        own = table[
            (table["fold"] == fold)
            & (table["feature_set"] == features_)
            & (table["classifier"] == classifier)
        ]
        return own.set_index("path")
