"""What is not accepted, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.config import messages
from darkroom.config.messages import check_keys
from darkroom.config.removed import REMOVED, without_unused
from darkroom.errors import UserError
from tests.support.configs import mistake, with_value


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("datasets.pets.splt", {}, "datasets.pets.splt: unknown key; did you mean 'split'?"),
        ("datasets.pets.split.tset", 0.1, "datasets.pets.split.tset: unknown key; did you mean 'test'?"),
        ("dataset", {}, "dataset: unknown key; did you mean 'datasets'?"),
        ("models.cnn.optimizer", {"lr": 1}, "models.cnn.optimizer.lr: unknown key"),
        ("models.cnn.epochs", -1, "models.cnn.epochs is -1: input should be greater than 0"),
        ("models.cnn.epochs", "ten", "models.cnn.epochs is 'ten': input should be a valid integer"),
        ("classifiers.svm.kind", "svn", "classifiers.svm.kind is 'svn': input should be 'svm', 'linear_svm'"),
        ("datasets.pets.split.test", 1.5, "datasets.pets.split.test is 1.5: input should be less than 1"),
        ("datasets.pets.group", "patient", "the expression needs a group in parentheses"),
        ("datasets.pets.group", "(", "not a regular expression"),
        ("models.cnn.layers", [{"convv": 3}], "models.cnn.layers[0].convv: unknown key; did you mean 'conv'?"),
        ("models.cnn.layers", ["flaten"], "models.cnn.layers[0].flaten: unknown key; did you mean 'flatten'?"),
        ("models.cnn.layers", [{"conv": 3, "pool": 2}], "give exactly one of"),
        ("models.cnn.layers", [], "models.cnn: layers"),
        ("models.cnn.features", "last", "no layer is named 'last'"),
        ("models.cnn.seeds", [1, 1], "a seed is given twice"),
        ("run.models", ["ccn"], "run.models: 'ccn' is not in models; did you mean 'cnn'?"),
        ("datasets.pets.classifiers", ["swm"], "datasets.pets.classifiers: 'swm' is not in classifiers; did you mean 'svm'?"),
        ("datasets.pets.classes", {"a": ["x"], "b": ["x"]}, "'x' is in both 'a' and 'b'"),
        ("datasets.pets.classes", ["cat"], "at least two classes"),
        ("datasets.pets.classes", [False, True], "datasets.pets.classes: a name that YAML reads as False: put it in quotes"),
        ("datasets.pets.classes", {"a": [None], "b": "b"}, "a name that YAML reads as None: put it in quotes"),
        ("datasets.pets.split.quotas", {True: {"train": 5}}, "a name that YAML reads as True: put it in quotes"),
        ("datasets.pets.augment", {"classes": [False]}, "a name that YAML reads as False: put it in quotes"),
        ("datasets.pets.view", None, "datasets.pets.view is null: leave it out for its default"),
        ("datasets.pets.split.quotas", {"a": {"train": "rest", "test": "rest"}}, "only one part may be 'rest'"),
        ("datasets.pets.sha256", "abc", "datasets.pets.sha256 is 'abc'"),
        ("datasets.a/b", {"source": "x"}, "datasets.a/b: a name has letters"),
        ("models.head", {"layers": ["flatten"]}, "models.head: a name has letters"),
        ("models.cnn-seed3", {"layers": ["flatten"]}, "must not end in -seed and a number"),
        ("classifiers.svm.pca", 1.5, "a fraction must lie between 0 and 1"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_by_path_value_and_what_is_allowed(
    path: str, value: Any, said: str
) -> None:
    assert said in mistake(with_value(path, value))


def test_every_mistake_is_told_at_once() -> None:
    config = with_value("models.cnn.epochs", 0)
    config["classifiers"]["svm"]["kind"] = "x"
    assert len(mistake(config).splitlines()) == 2


def test_a_missing_value_is_named() -> None:
    config = with_value("datasets.pets", {"classes": ["a", "b"]})
    assert "datasets.pets.source: a value is needed here" in mistake(config)


def test_a_quota_of_no_class_is_told_before_anything_runs() -> None:
    config = with_value("datasets.pets.classes", ["cat", "dog"])
    config["datasets"]["pets"]["split"] = {"quotas": {"cta": {"train": 3}}}
    assert "'cta' is not in classes; did you mean 'cat'?" in mistake(config)


def test_the_file_and_line_of_a_mistake_are_those_of_the_last_file_that_says_it(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "config.yaml", tmp_path / "mine.yaml"
    first.write_text("models:\n  cnn:\n    epochs: 3\n    batch: 0\n")
    second.write_text("# mine\n\nmodels:\n  cnn: {epochs: 0}\n")
    config = with_value("models.cnn.epochs", 0)
    config["models"]["cnn"]["batch"] = 0
    said = mistake(config, [str(first), str(second)])
    assert f"{second}:4: models.cnn.epochs is 0" in said
    assert f"{first}:4: models.cnn.batch is 0" in said


def test_a_value_of_the_command_line_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("run: {}\nthreads: 4\nbudget: -5\n")
    config = with_value("threads", -3) | {"budget": -5}
    said = mistake(config, [str(file)])
    assert "--config: threads is -3: " in said
    assert f"{file}:3: budget is -5: input should be greater than 0" in said


def test_thousands_of_mistakes_are_told_at_once(tmp_path: Path) -> None:
    written = tmp_path / "mine.yaml"
    written.write_text("\n".join(f"unknown{i}: {{a: 1}}" for i in range(3000)))
    config = with_value("models.cnn.epochs", 1) | yaml.safe_load(written.read_text())
    messages._parsed.cache_clear()
    said = mistake(config, [str(written)]).splitlines()
    assert messages._parsed.cache_info().misses == 1, "the file is parsed once, not for each line"
    assert said[1].startswith(f"{written}:2: unknown1: unknown key")
    assert len(said) == 31 and said[-1] == "and 2,970 more mistakes"


def test_a_key_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    fine = tmp_path / "fine.yaml"
    fine.write_text("a: &x {b: 1}\nc: {<<: *x}\nd: [{e: 1}, {e: 2}, *x]\n")
    check_keys([str(fine)])
    twice = tmp_path / "twice.yaml"
    twice.write_text("run: {}\nmodels:\n  cnn:\n    epochs: 1\n    batch: 2\n    epochs: 3\n")
    with pytest.raises(
        UserError, match=r"twice\.yaml:6: 'epochs' stands here for the second time, .* line 4"
    ):
        check_keys([str(fine), str(twice)])


@pytest.mark.parametrize("pattern", REMOVED)
def test_a_removed_setting_is_told_with_what_to_write(pattern: str, tmp_path: Path) -> None:
    kind, *rest = pattern.split(".")
    name = {"classifiers": "svm", "models": "cnn", "datasets": "pets"}.get(kind, "")
    path = ".".join([kind, *(name if part == "*" else part for part in rest)])
    config = with_value(path, 1)
    file = tmp_path / "mine.yaml"
    file.write_text("# mine\n" + yaml.safe_dump(config, sort_keys=False))
    said = mistake(config, [str(file)])
    line = (
        file.read_text().splitlines().index(f"{'  ' * path.count('.')}{path.split('.')[-1]}: 1") + 1
    )
    assert said == f"{file}:{line}: {path}: {REMOVED[pattern]}"


def test_a_removed_setting_is_known_by_its_whole_path() -> None:
    config = with_value("classifiers", {"svm-1.5": {"kind": "svm", "search": {}}})
    assert f"classifiers.svm-1.5.search: {REMOVED['classifiers.*.search']}" in mistake(config)
    config = with_value("classifiers.svm.tune.search", {})
    assert "classifiers.svm.tune.search: unknown key" in mistake(config)


def test_a_section_without_use_is_left_out_and_named() -> None:
    kept, said = without_unused({"evaluate": {"bootstrap": 50}, "run": {"datasets": ["d"]}})
    assert kept == {"run": {"datasets": ["d"]}}
    assert said == [
        "evaluate: this section has no effect; leave it out: intervals are no longer drawn"
    ]
    assert without_unused(kept) == (kept, [])
