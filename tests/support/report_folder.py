"""A results folder in the formats of docs/formats.md, made without running any stage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from darkroom.audit.audit import write_audit
from darkroom.audit.check import Found
from darkroom.images.features_file import write_features

ENDS = {"": 0.0, "_low": -0.02, "_high": 0.01}
DOUBT = {"set_level": 0.95, "set_from": 0.2} | {
    f"{name}{end}": value + off
    for name, value in (
        ("calibration_error", 0.03),
        ("aurc", 0.04),
        ("set_coverage", 0.96),
        ("set_size", 1.2),
    )
    for end, off in ENDS.items()
}
METRICS = (
    "accuracy",
    "balanced_accuracy",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "f1_weighted",
    "roc_auc",
    "log_loss",
    "brier",
)


@dataclass
class Plan:
    """What the made-up data set is like. `skill` is each classifier's share of right answers."""

    dataset: str = "made-up"
    classes: Sequence[str] = ("cat", "dog", "fox")
    per_class: Sequence[int] | int = 40
    folds: int = 1
    seeds: Sequence[int] = (0, 1)
    models: Sequence[str] = ("cnn",)
    skill: dict[str, float] = field(
        default_factory=lambda: {"head": 0.9, "svm": 0.93, "random_forest": 0.85}
    )
    size: tuple[int, int, int] = (16, 16, 3)
    variants: Sequence[str] = ()
    test: float = 0.25
    validation: float = 0.15
    unusable: int = 2
    groups: bool = False
    samples: int = 4
    misclassified: int = 6
    epochs: int = 8


class Folder:
    """Writes every input of the report below `root`, and knows the paths."""

    def __init__(self, root: Path, plan: Plan) -> None:
        self.plan = plan
        self.root = root
        self.results = root / "results" / plan.dataset
        self.random = np.random.default_rng(5)
        self.results.mkdir(parents=True)
        (root / "data").mkdir()
        per = plan.per_class
        sizes = [per] * len(plan.classes) if isinstance(per, int) else list(per)
        self.label = np.repeat(np.arange(len(plan.classes)), sizes)
        self.n = len(self.label)
        self.fold_names = (
            [f"fold-{i + 1}" for i in range(plan.folds)] if plan.folds > 1 else ["holdout"]
        )
        self.histories: list[str] = []
        self.source()
        self.manifest()
        self.splits()
        self.pixels()
        self.evaluation()
        self.training()
        self.benchmarks()
        self.audit([])
        self.doubtful([])

    def path(self, name: str) -> str:
        return str(self.results / name)

    def arguments(self, **changes: Any) -> dict[str, Any]:
        """Keyword arguments of `report.write_report`."""
        from darkroom.report.figure_names import FIGURES

        plan = self.plan
        settings = {
            "dataset": {"source": "folder", "split": {"test": plan.test}},
            "models": {m: {"epochs": plan.epochs, "seeds": list(plan.seeds)} for m in plan.models},
            "classifiers": {c: {"kind": c} for c in plan.skill if c != "head"},
        }
        return {
            "source": str(self.root / "data" / "source.json"),
            "manifest": self.path("manifest.parquet"),
            "unusable": self.path("unusable.csv"),
            "copies": self.path("copies.parquet"),
            "splits": self.path("splits.parquet"),
            "metrics": self.path("metrics.parquet"),
            "summary": self.path("summary.parquet"),
            "class_metrics": self.path("class_metrics.parquet"),
            "thresholds": self.path("thresholds.parquet"),
            "abstention": self.path("abstention.parquet"),
            "predictions": self.path("predictions.parquet"),
            "audit": self.path("audit.parquet"),
            "labels": self.path("labels.parquet"),
            "histories": self.histories,
            "images": self.path("images/view.h5"),
            "augmented": self.path("augmented/view.h5") if plan.variants else None,
            "output": self.path("report.html"),
            "figures": [self.path(f"figures/{name}") for name in FIGURES],
            "benchmarks": self.path("benchmarks"),
            "stages": ["split_rows", "train_model"],
            "cfg": {
                "dataset": plan.dataset,
                "samples": plan.samples,
                "misclassified": plan.misclassified,
                "networks": {
                    m: {"seeds": list(plan.seeds), "keep": "best", "early_stopping": None}
                    for m in plan.models
                },
                "compared": {},
                "recipe": None,
                "settings": settings,
            },
        } | changes

    def audit(self, found: Sequence[Found]) -> None:
        write_audit(self.path("audit.parquet"), found, rows=self.n, of=self.n)

    def doubtful(
        self, rows: Sequence[int], outliers: Sequence[int] = (), disagree: float = 0.1
    ) -> None:
        """`labels.parquet` in which the labels of these rows are in doubt, and these are outliers."""
        names = list(self.plan.classes)
        frame = pd.DataFrame(
            {
                "row": np.array(rows, np.int64),
                "label": [names[self.label[r]] for r in rows],
                "suggested": [names[self.label[r] - 1] for r in rows],
                "p_label": 0.1,
                "p_suggested": 0.8,
            }
        )
        about = {"rows": self.n, "of": self.n, "features": "cnn-seed0", "learned": True,
                 "outliers": [{"row": row, "unlikeness": 0.75} for row in outliers],
                 "far": len(outliers), "by_features": True, "disagree": disagree}  # fmt: skip
        table = pa.Table.from_pandas(frame, preserve_index=False)
        table = table.replace_schema_metadata({"darkroom": json.dumps(about)})
        pq.write_table(table, self.path("labels.parquet"))

    def features(self) -> str:
        """A feature set in which the classes are apart."""
        path = self.path("features.h5")
        middle = np.eye(len(self.plan.classes))[self.label]
        x = np.tile(middle, 4) + self.random.normal(0, 0.1, (self.n, 4 * middle.shape[1]))
        write_features(
            path,
            x.astype(np.float32),
            np.arange(self.n),
            np.zeros(self.n),
            name="cnn",
            layer="dense",
        )
        return path

    def source(self) -> None:
        told = {
            "source": "kaggle:someone/animals",
            "kind": "kaggle",
            "root": "data/files",
            "version": "3",
            "sha256": "ab" * 32,
            "license": None,
            "retrieved": "2024-05-01T12:00:00Z",
            "files": self.n + self.plan.unusable,
            "bytes": 1234567,
            "archive": "animals.zip",
        }
        (self.root / "data" / "source.json").write_text(json.dumps(told))

    def manifest(self) -> None:
        plan, n = self.plan, self.n
        names = [f"{plan.classes[c]}/image-{i:05d}.png" for i, c in enumerate(self.label)] + [
            f"broken/<b>file {i}</b>.jpg" for i in range(plan.unusable)
        ]
        total = n + plan.unusable
        good = np.arange(total) < n
        status = np.where(good, "ok", "unusable").astype(object)
        reason = np.where(good, "", "truncated: the file ends early").astype(object)
        status[3:9] = "converted"
        reason[3:9] = "palette to rgb"
        reason[8] = "palette to rgb; frame 1 of 7"
        table = pd.DataFrame(
            {
                "row": np.arange(total),
                "path": names,
                "label": [str(plan.classes[c]) for c in self.label] + [None] * plan.unusable,
                "group": [f"p{i // 3}" if plan.groups else None for i in range(total)],
                "split": pd.Series([None] * total, dtype=object),
                "bytes": 1000,
                "width": 24,
                "height": 24,
                "sha256": [f"{i:064x}" for i in range(total)],
                "duplicate_of": pd.array([None] * total, dtype="Int64"),
                "status": status,
                "reason": reason,
            }
        )
        self.table = table
        self.write_manifest()
        self.write_copies([])
        table.loc[~good, ["path", "reason"]].to_csv(self.path("unusable.csv"), index=False)

    def write_copies(self, found: Sequence[tuple[int, int, str, str]]) -> None:
        """Copies as (row, row of the first, kind, how)."""
        table = pd.DataFrame(found, columns=["row", "of", "kind", "how"]).assign(likeness=0.9)
        types = {"row": "int64", "of": "int64"}
        table.astype(types).to_parquet(self.path("copies.parquet"))

    def write_manifest(self) -> None:
        about = {
            "layout": "3 class folders (120 files), for example cat/1.png is 'cat'",
            "warnings": ["labels that may mean none: '<b>none</b>' (7)"],
        }
        table = pa.Table.from_pandas(self.table)
        table = table.replace_schema_metadata(
            {**(table.schema.metadata or {}), "darkroom": json.dumps(about)}
        )
        pq.write_table(table, self.path("manifest.parquet"))

    def splits(self) -> None:
        plan, n = self.plan, self.n
        table = pd.DataFrame(
            {
                "row": np.arange(n),
                "label": [str(plan.classes[c]) for c in self.label],
                "class": self.label.astype(np.int16),
                "group": [f"r{i}" for i in range(n)],
                "given": pd.Series([None] * n, dtype=object),
            }
        )
        for f, fold in enumerate(self.fold_names):
            part = np.full(n, "train", object)
            for c in range(len(plan.classes)):
                own = np.flatnonzero(self.label == c)
                if plan.folds > 1:
                    part[own[f :: plan.folds]] = "test"
                    rest = own[part[own] == "train"]
                else:
                    part[own[: round(plan.test * len(own))]] = "test"
                    rest = own[part[own] == "train"]
                part[rest[: round(plan.validation * len(rest))]] = "validation"
            table[fold] = part
        self.split_table = table
        self.write_splits()

    def write_splits(self, notes: Sequence[str] = ("no given split",)) -> None:
        meta = {
            "classes": list(self.plan.classes),
            "folds": self.fold_names,
            "notes": list(notes),
        }
        out = pa.Table.from_pandas(self.split_table, preserve_index=False)
        out = out.replace_schema_metadata({"darkroom": json.dumps(meta)})
        pq.write_table(out, self.path("splits.parquet"))

    def picture(self, c: int, angle: float) -> np.ndarray:
        h, w, channels = self.plan.size
        y, x = np.mgrid[0:h, 0:w] / max(h, w)
        wave = np.sin((3 + c % 7) * (x * np.cos(angle + c) + y * np.sin(angle + c)) * 4)
        image = np.stack([wave * np.cos(c + k) for k in range(channels)], axis=2)
        noise = self.random.normal(0, 0.15, image.shape)
        out: np.ndarray = np.clip(128 + 90 * (image + noise), 0, 255).astype(np.uint8)
        return out

    def pixels(self) -> None:
        plan = self.plan
        rows = np.arange(self.n)
        array = np.stack([self.picture(c, 0.1 * (i % 9)) for i, c in enumerate(self.label)])
        self.write_images("images/view.h5", array, rows, np.zeros(self.n), ["original"])
        if plan.variants:
            v = len(plan.variants)
            place = self.split_table[self.fold_names[0]].to_numpy(object)
            parents = rows[place == "train"] if plan.folds == 1 else rows
            changed = [
                np.clip(array[p].astype(float) * (0.5 + 0.3 * k), 0, 255).astype(np.uint8)
                for p in parents
                for k in range(v)
            ]
            names = ["original", *plan.variants]
            numbers = np.tile(np.arange(1, v + 1), len(parents))
            self.write_images(
                "augmented/view.h5", np.stack(changed), np.repeat(parents, v), numbers, names
            )

    def write_images(
        self,
        name: str,
        array: np.ndarray,
        row: np.ndarray,
        variant: np.ndarray,
        variants: Sequence[str],
    ) -> None:
        path = self.results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        mean = array.astype(float).mean(axis=(1, 2))
        with h5py.File(path, "w") as file:
            file["images"] = array
            file["row"] = row.astype(np.int64)
            file["variant"] = variant.astype(np.int16)
            file["label"] = self.label[row].astype(np.int32)
            file["mean"] = mean
            file["mean_square"] = mean**2
            file.attrs["view"] = json.dumps({"size": self.plan.size[0]})
            file.attrs["labels"] = json.dumps(list(self.plan.classes))
            file.attrs["variants"] = json.dumps(list(variants))
            file.attrs["decode"] = json.dumps({})
            file.attrs["dataset"] = self.plan.dataset
            file.attrs["darkroom"] = "0"

    def evaluation(self) -> None:
        """Predictions right with the planned probability, and plain scores of them."""
        plan, k = self.plan, len(self.plan.classes)
        frames, runs, by_class = [], [], []
        for fold in self.fold_names:
            place = self.split_table[fold].to_numpy(object)
            for model in plan.models:
                for seed in plan.seeds:
                    for classifier, skill in plan.skill.items():
                        keep = np.flatnonzero(np.isin(place, ["validation", "test"]))
                        truth = self.label[keep]
                        right = self.random.random(len(keep)) < skill
                        other = (truth + self.random.integers(1, k, len(keep))) % k
                        said = np.where(right, truth, other)
                        sure = np.clip(self.random.beta(6, 1.5, len(keep)), 1 / k + 1e-6, 1)
                        p = np.repeat((1 - sure)[:, None] / (k - 1), k, axis=1)
                        p[np.arange(len(keep)), said] = sure
                        head = {
                            "model": model,
                            "seed": seed,
                            "fold": fold,
                            "feature_set": f"{model}-seed{seed}",
                            "classifier": classifier,
                        }
                        frame = pd.DataFrame(
                            head
                            | {
                                "path": self.table["path"].to_numpy()[keep],
                                "row": keep,
                                "part": place[keep],
                                "class": truth.astype(np.int16),
                                "most_probable": said.astype(np.int16),
                                "predicted": said.astype(np.int16),
                            }
                        )
                        wide = pd.DataFrame(
                            p.astype(np.float32), columns=[f"p:{c}" for c in plan.classes]
                        )
                        frames.append(pd.concat([frame, wide], axis=1))
                        for part in ("validation", "test"):
                            own = frame["part"] == part
                            if own.any():
                                scored = self.score(truth[own], said[own])
                                runs.append(
                                    head
                                    | {"part": part, "n": int(own.sum()), "groups": int(own.sum())}
                                    | DOUBT
                                    | scored
                                )
                                by_class += self.each_class(
                                    head | {"part": part}, truth[own], said[own]
                                )
        both = pd.concat(frames, ignore_index=True)
        both.to_parquet(self.path("predictions.parquet"), index=False)
        metrics = pd.DataFrame(runs)
        metrics.to_parquet(self.path("metrics.parquet"), index=False)
        lines = []
        for key, own in metrics.groupby(["model", "classifier", "part"], sort=False):
            line: dict[str, Any] = dict(zip(("model", "classifier", "part"), key, strict=True))
            line |= {"runs": len(own), "images": own["n"].sum(), "groups": own["n"].sum()} | DOUBT
            for m in METRICS:
                line[m] = own[m].mean()
                line[f"{m}_sd"] = own[m].std() if len(own) > 1 else np.nan
                line[f"{m}_low"], line[f"{m}_high"] = (
                    own[f"{m}_low"].mean(),
                    own[f"{m}_high"].mean(),
                )
            lines.append(line)
        if plan.folds > 1 and len({(line["model"], line["classifier"]) for line in lines}) > 1:
            lines += [line | {"model": "*", "classifier": "*"} for line in lines[:2]]
            first = next(iter(plan.skill))
            by_class += [
                row | {"model": "*", "classifier": "*"}
                for row in by_class
                if row["classifier"] == first
            ]
        pd.DataFrame(lines).to_parquet(self.path("summary.parquet"), index=False)
        kept = [
            {name: line[name] for name in ("model", "classifier", "part")}
            | {"coverage": share, "images": 10, "confidence": 1 - share / 2}
            | {f"accuracy{end}": 1 - share / 8 + v for end, v in ENDS.items()}
            for line in lines
            for share in (1.0, 0.9, 0.8, 0.5, 0.1)
        ]
        pd.DataFrame(kept).to_parquet(self.path("abstention.parquet"), index=False)
        names = ["model", "classifier", "part", "class"]
        classes = pd.DataFrame(by_class).drop(columns=["seed", "fold", "feature_set"])
        classes.groupby(names, sort=False).mean().reset_index().to_parquet(
            self.path("class_metrics.parquet"), index=False
        )
        rates = [
            f"{p}_{r}{end}"
            for p in ("validation", "test")
            for r in ("sensitivity", "specificity", "precision", "npv")
            for end in ("", "_low", "_high")
        ]
        columns = [*head, "positive", "threshold", "how", *rates]
        told = metrics[metrics["part"] == "test"] if k == 2 else metrics[:0]
        told = told.assign(positive=plan.classes[-1], threshold=0.3125, how="balanced_accuracy")
        told = told.assign(**dict.fromkeys(rates, 0.75))
        told[columns].to_parquet(self.path("thresholds.parquet"), index=False)

    def score(self, truth: np.ndarray, said: np.ndarray) -> dict[str, float]:
        accuracy = float((truth == said).mean())
        recall = np.mean([(said[truth == c] == c).mean() for c in np.unique(truth)])
        half = 1.96 * np.sqrt(max(accuracy * (1 - accuracy), 1e-4) / len(truth))
        out: dict[str, float] = {}
        for m in METRICS:
            value = {"accuracy": accuracy, "log_loss": 1.2 * (1 - accuracy)}.get(m, float(recall))
            out |= {m: value, f"{m}_low": value - half, f"{m}_high": min(value + half, 1.0)}
        return out

    def each_class(
        self, head: dict[str, Any], truth: np.ndarray, said: np.ndarray
    ) -> list[dict[str, Any]]:
        out = []
        for c, name in enumerate(self.plan.classes):
            n = int((truth == c).sum())
            recall = float((said[truth == c] == c).mean()) if n else np.nan
            line = head | {"class": name, "n": n}
            for m in ("precision", "recall", "f1", "roc_auc"):
                line |= {m: recall, f"{m}_low": recall - 0.1, f"{m}_high": min(recall + 0.05, 1)}
            out.append(line)
        return out

    def training(self) -> None:
        plan = self.plan
        for fold in self.fold_names:
            for model in plan.models:
                for seed in plan.seeds:
                    epoch = np.arange(1, plan.epochs + 1)
                    wobble = self.random.normal(0, 0.02, (2, plan.epochs))
                    loss = 1.6 * np.exp(-epoch / 3) + 0.1 + wobble[0]
                    val = 1.5 * np.exp(-epoch / 3) + 0.2 + 0.01 * epoch + wobble[1]
                    table = pd.DataFrame(
                        {
                            "epoch": epoch,
                            "loss": loss,
                            "accuracy": 1 - loss / 2.2,
                            "val_loss": val,
                            "val_accuracy": 1 - val / 2.2,
                            "learning_rate": 0.001,
                            "seconds": 3.5,
                            "kept": (np.arange(plan.epochs) == val.argmin()).astype(int),
                        }
                    )
                    if not plan.validation:
                        table[["val_loss", "val_accuracy"]] = np.nan
                    path = self.results / fold / f"{model}-seed{seed}" / "history.csv"
                    path.parent.mkdir(parents=True)
                    table.to_csv(path, index=False)
                    self.histories.append(str(path))

    def benchmarks(self) -> None:
        lines = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
        folder = self.results / "benchmarks"
        (folder / "holdout").mkdir(parents=True)
        for name, seconds, memory in (
            ("index_files.tsv", "1.5", "120.25"),
            ("prepare_images-view.tsv", "12.0", "310.0"),
            ("holdout/train_model-cnn-seed0.tsv", "61.0", "900.5"),
            ("holdout/train_model-cnn-seed1.tsv", "65.5", "880.0"),
            ("split_rows.tsv", "0.4", "NA"),
            ("write_report.tsv", "9.9", "150.0"),
        ):
            (folder / name).write_text(
                f"{lines}{seconds}\t0:00:01\t{memory}\t1\t1\t1\t-\t-\t50.0\t1.0\n"
            )
