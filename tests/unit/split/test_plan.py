from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from darkroom.errors import UserError
from darkroom.split import plan, splits


def config(classes: dict[str, list[str]] | None = None, **split: Any) -> dict[str, Any]:
    spec = {
        "given": "use",
        "validation": 0.15,
        "test": 0.2,
        "folds": None,
        "stratify": True,
        "seed": 0,
        "quotas": {},
    }
    policy = split.pop("duplicates", "group")
    return {"dataset": "d", "classes": classes, "duplicates": policy, "split": {**spec, **split}}


def manifest(labels: list[str | None], **columns: Any) -> pd.DataFrame:
    n = len(labels)
    table = {
        "row": np.arange(n),
        "path": [f"{label}/{i:06d}.png" for i, label in enumerate(labels)],
        "label": labels,
        "group": [None] * n,
        "split": [None] * n,
        "sha256": [f"{i:064x}" for i in range(n)],
        "status": ["ok"] * n,
    }
    return pd.DataFrame(table | columns)


def run(tmp_path: Path, table: pd.DataFrame, cfg: dict[str, Any]) -> splits.Splits:
    table.to_parquet(tmp_path / "manifest.parquet")
    output, indices = (tmp_path / "out" / n for n in ("splits.parquet", "class_indices.json"))
    first = table.groupby("sha256")["row"].transform("first")
    copies = pd.DataFrame({"row": table["row"], "of": first})[table["row"] != first]
    copies.to_parquet(tmp_path / "copies.parquet")
    read = (str(tmp_path / "manifest.parquet"), str(tmp_path / "copies.parquet"))
    plan.split_rows(*read, str(output), indices=str(indices), cfg=cfg)
    assert {p.name for p in output.parent.iterdir()} == {output.name, indices.name}
    made = splits.read_splits(str(output))
    assert json.loads(indices.read_text()) == {name: i for i, name in enumerate(made.classes)}
    return made


def counts(split: splits.Splits, fold: str = "holdout") -> dict[str, dict[str, int]]:
    table = split.table
    return {
        name: table.loc[table["label"] == name, fold].value_counts().to_dict()
        for name in split.classes
    }


def fails(table: pd.DataFrame, cfg: dict[str, Any], *words: str) -> None:
    with pytest.raises(UserError) as caught:
        plan.check(table, cfg=cfg | {"dataset": "photos"})
    message = str(caught.value)
    assert message.startswith("photos: ")
    for word in words:
        assert word in message, message


def together(split: splits.Splits, fold: str) -> bool:
    """No group is in two parts but for unused rows."""
    table = split.table[split.table[fold] != "unused"]
    return bool((table.groupby("group")[fold].nunique() == 1).all())


# ---------------------------------------------------------------- fractions


def test_fractions_stratified(tmp_path: Path) -> None:
    split = run(tmp_path, manifest(["cat"] * 100 + ["dog"] * 50), config())
    assert counts(split) == {
        "cat": {"train": 68, "test": 20, "validation": 12},
        "dog": {"train": 34, "test": 10, "validation": 6},
    }
    assert split.classes == ["cat", "dog"]
    assert split.folds == ["holdout"]
    assert split.notes == []
    assert list(split.table.columns) == ["row", "label", "class", "group", "given", "holdout"]
    assert split.table["class"].dtype == np.int16
    assert split.table["group"].nunique() == 150
    assert split.table["given"].isna().all()


def test_total_is_right_over_many_small_classes(tmp_path: Path) -> None:
    # 20 % of 12 rows is 2.4 in each class: rounded by class it would be 2 in each.
    split = run(tmp_path, manifest([f"c{i % 30}" for i in range(360)]), config())
    assert (split.table["holdout"] == "test").sum() == 72
    assert (split.table["holdout"] == "validation").sum() == 43


def test_seed_decides_and_row_order_does_not() -> None:
    table = manifest(["a"] * 60 + ["b"] * 60)
    table["group"] = [f"g{i // 2}" for i in range(120)]

    def test_paths(table: pd.DataFrame, seed: int) -> set[str]:
        frame = plan.make_plan(table, config(seed=seed)).frame
        return set(table["path"][frame["holdout"].to_numpy() == "test"])

    shuffled = table.sample(frac=1, random_state=1).reset_index(drop=True)
    assert test_paths(table, 0) == test_paths(shuffled, 0)
    assert test_paths(table, 0) != test_paths(table, 1)


def test_one_more_image_moves_few_others() -> None:
    table = manifest(["a"] * 500 + ["b"] * 500)
    before = plan.make_plan(table, config()).frame["holdout"]
    after = plan.make_plan(manifest(["a"] * 500 + ["b"] * 501), config()).frame["holdout"]
    assert (before.to_numpy() != after.to_numpy()[:1000]).sum() <= 5


def test_unstratified_keeps_the_totals(tmp_path: Path) -> None:
    split = run(tmp_path, manifest(["a"] * 150 + ["b"] * 50), config(stratify=False))
    assert split.table["holdout"].value_counts().to_dict() == {
        "train": 136,
        "test": 40,
        "validation": 24,
    }
    assert counts(split)["b"]["test"] != 10  # 10 would be by class


def test_zero_fractions(tmp_path: Path) -> None:
    table = manifest(["a"] * 20 + ["b"] * 20)
    split = run(tmp_path, table, config(test=0))
    assert set(split.table["holdout"]) == {"train", "validation"}
    assert any("no test set" in note for note in split.notes)
    split = run(tmp_path, table, config(validation=0))
    assert set(split.table["holdout"]) == {"train", "test"}
    assert any("no validation set" in note for note in split.notes)
    fails(table, config(test=0, validation=0), "nothing to evaluate on")


def test_each_class_has_one_image_in_each_part(tmp_path: Path) -> None:
    split = run(tmp_path, manifest(["a"] * 200 + ["b"] * 3), config(test=0.05, validation=0.05))
    assert counts(split)["b"] == {"train": 1, "validation": 1, "test": 1}
    split = run(tmp_path, manifest(["a"] * 3 + ["b"] * 3), config(test=0.6, validation=0.5))
    assert counts(split)["a"] == {"train": 1, "validation": 1, "test": 1}


def test_says_when_small_classes_enlarge_a_part(tmp_path: Path) -> None:
    split = run(tmp_path, manifest([f"c{i % 40}" for i in range(200)]), config(test=0.05))
    assert any("test is 20% instead of 5%" in note for note in split.notes)


# ---------------------------------------------------------------- classes


def test_labels_in_numeric_order(tmp_path: Path) -> None:
    names = ["10", "2", "1", "cat2", "cat10"]
    split = run(tmp_path, manifest(names * 10), config())
    assert split.classes == ["1", "2", "10", "cat2", "cat10"]


def test_classes_rename_merge_order_and_choose(tmp_path: Path) -> None:
    table = manifest(["cat"] * 10 + ["dog"] * 20 + ["wolf"] * 10 + ["fish"] * 5)
    split = run(tmp_path, table, config({"canine": ["wolf", "dog"], "feline": ["cat"]}))
    assert split.classes == ["canine", "feline"]
    assert split.table["label"].value_counts().to_dict() == {"canine": 30, "feline": 10}
    assert (split.table["label"] == np.array(split.classes)[split.table["class"]]).all()
    assert any("fish (5)" in note for note in split.notes)
    part, label = split.lookup([44, 0, 0, 15], "holdout")
    assert part[0] == "" and label.tolist() == [-1, 1, 1, 0]
    assert part[1] == split.table["holdout"][split.table["row"] == 0].item()
    with pytest.raises(KeyError, match="fold-1"):
        split.lookup([0], "fold-1")


def test_unusable_rows_are_out(tmp_path: Path) -> None:
    table = manifest(["a"] * 20 + ["b"] * 20 + [None])
    table.loc[table["row"].isin([3, 40]), "status"] = "unusable"
    split = run(tmp_path, table, config())
    assert len(split.table) == 39 and 3 not in set(split.table["row"])


def test_mistakes_in_classes() -> None:
    table = manifest(["cat"] * 10 + ["dog"] * 10)
    fails(table, config({"a": ["cat"], "b": ["dogs"]}), "'dogs'", "did you mean 'dog'?")
    fails(table, config({"a": ["cat"], "b": ["xyzzy"]}), "known: cat, dog")
    fails(table[:10], config(), "two classes", "only 'cat'")
    fails(table[:0], config(), "two classes", "none")
    table.loc[10:, "status"] = "unusable"
    fails(table, config({"a": ["cat"], "b": ["dog"]}), "'b'", "no usable image")


def test_check_needs_only_a_listing() -> None:
    table = manifest(["a"] * 20 + ["b"] * 20)[["path", "label", "group", "split"]]
    plan.check(table, cfg=config(folds=5))
    fails(table, config(folds=21), "class 'a' has 20 images", "21 folds", "split.folds", "20")


# ---------------------------------------------------------------- groups and duplicates


@pytest.mark.parametrize("folds", [None, 4])
def test_groups_stay_whole_and_balanced(tmp_path: Path, folds: int | None) -> None:
    rng = np.random.default_rng(0)
    patients = rng.integers(0, 120, 1500)
    table = manifest([f"c{p % 3}" for p in patients], group=[f"p{p}" for p in patients])
    split = run(tmp_path, table, config(folds=folds))
    for fold in split.folds:
        assert together(split, fold)
        share = pd.crosstab(split.table["label"], split.table[fold], normalize="index")
        assert np.abs(share["test"] - (0.25 if folds else 0.2)).max() < 0.03
    assert split.table["group"].nunique() == 120


def test_groups_of_several_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = [f"c{i}" for i in rng.integers(0, 4, 2000)]
    table = manifest(labels, group=[f"film {i}" for i in rng.integers(0, 60, 2000)])
    split = run(tmp_path, table, config())
    assert together(split, "holdout")
    share = pd.crosstab(split.table["label"], split.table["holdout"], normalize="index")
    assert np.abs(share["test"] - 0.2).max() < 0.05


def test_large_groups_are_not_all_in_training(tmp_path: Path) -> None:
    sizes = [10] * 50 + [1] * 500
    group = [f"g{i}" for i, n in enumerate(sizes) for _ in range(n)]
    split = run(tmp_path, manifest(["a", "b"] * 500, group=group), config())
    size = split.table.groupby("group")["row"].transform("size")
    test = split.table["holdout"] == "test"
    assert test[size == 10].mean() == pytest.approx(0.2, abs=0.04)
    pure = manifest(["a"] * 1000 + ["b"] * 1000, group=group + [f"b{g}" for g in group])
    split = run(tmp_path, pure, config())
    size = split.table.groupby("group")["row"].transform("size")
    test = split.table["holdout"] == "test"
    assert test[size == 10].mean() == pytest.approx(0.2, abs=0.01)
    assert test.sum() == 400


def test_duplicates_and_groups_are_united(tmp_path: Path) -> None:
    table = manifest(["a"] * 40 + ["b"] * 40)
    table["group"] = [f"g{i // 4}" for i in range(40)] + [None] * 40
    same = [3, 4, 50, 60]  # joins g0 and g1; and two rows without a group
    table.loc[[3, 4], "sha256"] = "x"
    table.loc[[50, 60], "sha256"] = "y"
    for folds in (None, 5):
        split = run(tmp_path, table, config(folds=folds))
        groups = split.table.set_index("row")["group"]
        assert groups[list(range(8))].nunique() == 1 and groups[0] == "g0"
        assert groups[50] == groups[60] == "b/000050.png"
        assert groups.nunique() == 9 + 39
        assert all(together(split, fold) for fold in split.folds)
        assert "unused" not in set(split.table.loc[split.table["row"].isin(same), split.folds[0]])


def test_a_group_named_like_a_path_stays_its_own(tmp_path: Path) -> None:
    table = manifest(["a"] * 10 + ["b"] * 10)
    table.loc[[0, 1], "group"] = table["path"][5]
    split = run(tmp_path, table, config())
    assert split.table["group"].nunique() == 19


def test_contradicting_duplicates_are_unused(tmp_path: Path) -> None:
    table = manifest(["a"] * 20 + ["b"] * 20)
    table.loc[[0, 20], "sha256"] = "x"
    table.loc[[1, 2], "sha256"] = "y"
    for folds in (None, 3):
        split = run(tmp_path, table, config(folds=folds))
        for fold in split.folds:
            unused = split.table.loc[split.table[fold] == "unused", "row"]
            assert unused.tolist() == [0, 20]
        assert any("2 images unused" in note for note in split.notes)
    table.loc[:, "sha256"] = [str(i % 20) for i in range(40)]
    fails(table, config(), "'a'", "contradicting")


def with_copies() -> pd.DataFrame:
    """40 images of two classes; a's first three are one picture, and so are one of a and one of b."""
    table = manifest(["a"] * 40 + ["b"] * 40)
    table["picture"] = table["row"].replace({1: 0, 2: 0, 50: 10})
    return table


def test_near_copies_stay_together_whatever_their_labels() -> None:
    for seed in range(10):
        for folds in (None, 4):
            made = plan.make_plan(with_copies(), config(seed=seed, folds=folds))
            frame = made.frame.set_index("row")
            for fold in made.folds:
                assert frame.loc[[0, 1, 2], fold].nunique() == 1
                assert frame.loc[[10, 50], fold].nunique() == 1
                assert "unused" not in set(frame[fold])
            assert frame.loc[[0, 1, 2], "group"].nunique() == 1
    assert (
        "3 images show the same picture as another: each set of copies stays in one part"
        in made.notes
    )


def test_dropped_copies_leave_one_of_each_set() -> None:
    table = with_copies()
    made = plan.make_plan(table, config(duplicates="drop"))
    unused = made.frame.loc[made.frame["holdout"] == "unused", "row"]
    assert unused.tolist() == [1, 2, 50]
    assert "3 images unused: copies of others (duplicates: drop)" in made.notes
    table["split"] = ["train", "validation", "test", *["train", "test"] * 38, "train"]
    made = plan.make_plan(table, config(duplicates="drop"))
    place = made.frame.set_index("row")["holdout"]
    assert place[[0, 1, 2]].tolist() == ["unused", "unused", "test"]


def test_copies_may_be_told_only_or_refused() -> None:
    table = with_copies()
    alone = table.drop(columns="picture")
    made = plan.make_plan(table, config(duplicates="warn"))
    assert (made.frame["holdout"] == plan.make_plan(alone, config()).frame["holdout"]).all()
    assert any("3 images show the same picture" in n and "warn" in n for n in made.notes)
    fails(
        table,
        config(duplicates="fail"),
        "3 images show",
        "a/000001.png and a/000000.png",
        "copies.csv",
    )
    assert plan.make_plan(alone, config(duplicates="fail")).notes == []


def test_a_merged_class_is_no_contradiction(tmp_path: Path) -> None:
    table = manifest(["a"] * 10 + ["b"] * 10 + ["c"] * 10)
    table.loc[[0, 10], "sha256"] = "x"
    split = run(tmp_path, table, config({"ab": ["a", "b"], "c": ["c"]}))
    assert "unused" not in set(split.table["holdout"])


# ---------------------------------------------------------------- given places


def given(train: int, validation: int, test: int, classes: str = "ab") -> pd.DataFrame:
    places = ["train"] * train + ["validation"] * validation + ["test"] * test
    return manifest([c for c in classes for _ in places], split=places * len(classes))


def test_given_test_stays_and_validation_is_cut(tmp_path: Path) -> None:
    split = run(tmp_path, given(100, 0, 30), config())
    table = split.table
    assert ((table["given"] == "test") == (table["holdout"] == "test")).all()
    assert counts(split)["a"] == {"train": 85, "validation": 15, "test": 30}
    assert any("15% of the training images" in note for note in split.notes)


def test_given_all_three_stay(tmp_path: Path) -> None:
    split = run(tmp_path, given(10, 5, 3), config())
    assert (split.table["given"] == split.table["holdout"]).all()


def test_given_validation_is_not_called_test(tmp_path: Path) -> None:
    split = run(tmp_path, given(80, 20, 0), config())
    table = split.table
    assert ((table["given"] == "validation") == (table["holdout"] == "validation")).all()
    assert (table["holdout"] == "test").sum() == 40  # 20 % of all 200
    assert any("no test set" in note for note in split.notes)
    split = run(tmp_path, given(80, 20, 0), config(test=0))
    assert (split.table["given"] == split.table["holdout"]).all()


def test_given_ignored(tmp_path: Path) -> None:
    split = run(tmp_path, given(10, 0, 90), config(given="ignore"))
    assert counts(split)["a"] == {"train": 68, "validation": 12, "test": 20}
    assert (split.table["given"] == "test").sum() == 180  # what the source says is kept


def test_rows_without_a_given_place_train(tmp_path: Path) -> None:
    table = given(20, 0, 10)
    table.loc[0:4, "split"] = None
    split = run(tmp_path, table, config(validation=0))
    assert set(split.table["holdout"][:5]) == {"train"}
    assert any("5 images without a given place" in note for note in split.notes)


def test_the_given_test_wins_over_its_copies(tmp_path: Path) -> None:
    table = given(20, 10, 10)
    table["group"] = None
    table.loc[[0, 35], "sha256"] = "x"  # train, test
    table.loc[[1, 25], "group"] = "patient"  # train, validation
    table.loc[[26, 36], "group"] = "other"  # validation, test
    split = run(tmp_path, table, config())
    place = split.table.set_index("row")["holdout"]
    assert [place[i] for i in (0, 35, 1, 25, 26, 36)] == [
        "unused", "test", "unused", "validation", "unused", "test",
    ]  # fmt: skip
    assert (place == "unused").sum() == 3
    assert any("2 images unused" in n and "given as test" in n for n in split.notes)
    assert any("1 image unused" in n and "given as validation" in n for n in split.notes)


def test_a_class_that_is_given_no_training_image() -> None:
    table = given(20, 0, 10)
    table.loc[table["label"] == "b", "split"] = "test"
    for folds in (None, 3):
        fails(table, config(folds=folds), "class 'b'", "no image to train on", "given: ignore")


def test_a_class_that_a_given_test_lacks_is_told(tmp_path: Path) -> None:
    table = given(20, 0, 10)
    table.loc[table["label"] == "b", "split"] = "train"
    split = run(tmp_path, table, config())
    assert any("test set has no image of b" in note for note in split.notes)


# ---------------------------------------------------------------- folds


def test_each_row_is_tested_once(tmp_path: Path) -> None:
    split = run(tmp_path, manifest(["a"] * 53 + ["b"] * 34), config(folds=5))
    assert split.folds == [f"fold-{i}" for i in range(1, 6)]
    tested = (split.table[split.folds] == "test").sum(axis=1)
    assert (tested == 1).all()
    sizes = (split.table[split.folds] == "test").sum()
    assert sizes.max() - sizes.min() <= 1
    for fold in split.folds:
        for name, n in (("a", 53), ("b", 34)):
            c = counts(split, fold)[name]
            assert abs(c["test"] - n / 5) < 1
            assert c["validation"] == pytest.approx(0.15 * (n - c["test"]), abs=1)
    cuts = [frozenset(split.table.index[split.table[f] == "validation"]) for f in split.folds]
    assert len(set(cuts)) == 5


def test_folds_with_a_given_test(tmp_path: Path) -> None:
    split = run(tmp_path, given(30, 10, 20), config(folds=4))
    table = split.table
    for fold in split.folds:
        assert ((table["given"] == "test") == (table[fold] == "test")).all()
    validated = (table[split.folds] == "validation").sum(axis=1)
    assert (validated[table["given"] != "test"] == 1).all()
    assert any("pooled" in note for note in split.notes)
    assert any("tested in every fold" in note for note in split.notes)


def test_folds_without_validation(tmp_path: Path) -> None:
    split = run(tmp_path, manifest(["a"] * 10 + ["b"] * 10), config(folds=2, validation=0))
    assert set(split.table["fold-1"]) == {"train", "test"}


def test_impossible_folds() -> None:
    group = [f"a{i // 10}" for i in range(30)] + [f"b{i}" for i in range(30)]
    table = manifest(["a"] * 30 + ["b"] * 30, group=group)
    fails(table, config(folds=5), "'a' has 30 images in 3 groups", "5 folds", "at most 3")
    plan.check(table, cfg=config(folds=3))
    table["group"] = ["a"] * 30 + group[30:]
    fails(table, config(folds=3), "30 images in 1 group,", "merge or leave out")
    two = manifest(["a"] * 2 + ["b"] * 9)
    fails(two, config(folds=2), "'a' has 1 image outside the test part of fold-1", "validation")
    plan.check(two, cfg=config(folds=2, validation=0))
    fails(two, config(folds=2, quotas={"a": {"train": 1}}), "quotas", "folds")


def test_impossible_parts() -> None:
    table = manifest(["a"] * 2 + ["b"] * 30)
    fails(table, config(), "class 'a' has 2 images", "train, validation and test", "at least 3")
    plan.check(table, cfg=config(validation=0))
    table["sha256"] = ["x", "x", *map(str, range(30))]
    fails(table, config(validation=0), "2 images (1 without copies)", "split.test to 0")


def test_an_unstratified_draw_may_leave_a_class_untrained() -> None:
    table = manifest(["a"] + ["b"] * 99)
    said = []
    for seed in range(20):
        try:
            plan.check(table, cfg=config(stratify=False, seed=seed))
        except UserError as error:
            said.append(str(error))
    assert 1 <= len(said) < 20
    assert all("'a' has 1 image, none" in s and "split.stratify: true" in s for s in said)


def test_a_class_that_lives_in_two_shared_groups() -> None:
    # Class a is only in films that also hold b: three parts, three films.
    table = manifest(["a", "b"] * 15 + ["b"] * 30)
    table["group"] = [f"film {i // 10}" for i in range(30)] + [None] * 30
    frame = plan.make_plan(table, config()).frame
    a = frame[frame["label"] == "a"]
    assert set(a["holdout"]) == {"train", "validation", "test"}


# ---------------------------------------------------------------- quotas


def xrays() -> pd.DataFrame:
    return manifest(["COVID"] * 576 + ["normal"] * 1583 + ["pneumonia"] * 4273)


def test_quotas_of_the_published_study(tmp_path: Path) -> None:
    quotas = {"COVID": {"train": 300, "test": "rest"}, "pneumonia": {"train": 1800, "test": 400}}
    split = run(tmp_path, xrays(), config(quotas=quotas))
    assert counts(split) == {
        "COVID": {"train": 255, "validation": 45, "test": 276},
        "normal": {"train": 1076, "validation": 190, "test": 317},
        "pneumonia": {"train": 1530, "validation": 270, "test": 400, "unused": 2073},
    }
    split = run(tmp_path, xrays(), config(quotas=quotas, validation=0))
    assert counts(split)["COVID"] == {"train": 300, "test": 276}


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ({"train": 300, "validation": 50}, {"train": 300, "validation": 50, "test": 115, "unused": 111}),
        ({"validation": 100}, {"train": 361, "validation": 100, "test": 115}),
        ({"test": 76}, {"train": 425, "validation": 75, "test": 76}),
        ({"train": "rest", "test": 76, "validation": 0}, {"train": 500, "test": 76}),
        ({"train": 100, "validation": "rest", "test": 76}, {"train": 100, "validation": 400, "test": 76}),
        ({"train": 560}, {"train": 476, "validation": 84, "test": 16}),
    ],
)  # fmt: skip
def test_quotas_of_some_parts(
    tmp_path: Path, quota: dict[str, Any], expected: dict[str, int]
) -> None:
    split = run(tmp_path, xrays(), config(quotas={"COVID": quota}, stratify=False))
    assert counts(split)["COVID"] == expected


def test_quotas_with_groups_come_near(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    table = xrays()
    table["group"] = table["label"] + "-" + pd.Series(rng.integers(0, 200, len(table)).astype(str))
    quotas = {"COVID": {"train": 300, "test": "rest"}}
    split = run(tmp_path, table, config(quotas=quotas, validation=0))
    assert together(split, "holdout")
    assert abs(counts(split)["COVID"]["train"] - 300) <= 2
    table["group"] = table["label"] + "-" + (table["row"] // 70).astype(str)
    split = run(tmp_path, table, config(quotas=quotas, validation=0))
    train = counts(split)["COVID"]["train"]
    assert train != 300 and abs(train - 300) <= 40
    assert any(f"train {train} (wanted 300)" in note for note in split.notes)


def test_quotas_choose_among_given_images(tmp_path: Path) -> None:
    table = given(100, 0, 50)
    quotas = {"a": {"train": 40, "test": 10}}
    split = run(tmp_path, table, config(quotas=quotas))
    assert counts(split)["a"] == {"train": 34, "validation": 6, "test": 10, "unused": 100}
    moved = split.table[(split.table["holdout"] == "test") & (split.table["given"] != "test")]
    assert moved.empty
    fails(table, config(quotas={"a": {"test": 51}}), "51 test", "'a'", "has 50", "given: ignore")


def test_impossible_quotas() -> None:
    fails(
        xrays(),
        config(quotas={"COVID": {"train": 500, "test": 100}}),
        "500 train, 100 test",
        "576",
    )
    fails(xrays(), config(quotas={"Covid": {"train": 5}}), "did you mean 'COVID'?")
    fails(xrays(), config(quotas={"COVID": {"test": "rest"}}), "without a training image")
    few = {"COVID": {"train": 1, "validation": 1, "test": 1}}
    table = xrays()
    table["group"] = np.where(table["label"] == "COVID", "one patient", table["path"])
    fails(table, config(quotas=few), "576 images in 1 group", "lower its quotas")


# ---------------------------------------------------------------- whatever is asked


def test_no_request_separates_what_belongs_together() -> None:
    """Random listings and settings: a refusal in words, or a split that keeps its promises."""
    done = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(30, 120))
        table = manifest(
            [f"c{i}" for i in rng.integers(0, 3, n)],
            group=[f"g{i}" if i < 25 else None for i in rng.integers(0, 40, n)],
            split=rng.choice(np.array(["train", "validation", "test", None]), n)
            if seed % 2
            else [None] * n,
            sha256=[str(i) for i in rng.integers(0, 20 * n, n)],
        )
        cfg = config(
            given=["use", "use", "ignore"][seed % 3],
            folds=[None, None, 3][rng.integers(3)],
            validation=[0, 0.15][rng.integers(2)],
            quotas={} if seed % 4 else {"c0": {"train": 5}},
            seed=seed,
        )
        try:
            made = plan.make_plan(table, cfg)
        except UserError:
            continue
        done += 1
        frame = made.frame.assign(sha=table["sha256"], own=table["group"])
        contradicting = frame.groupby("sha")["class"].transform("nunique") > 1
        for fold in made.folds:
            placed = frame[frame[fold] != "unused"]
            for same in ("group", "sha", "own"):
                assert (placed.groupby(same)[fold].nunique() == 1).all()
            assert (frame.loc[contradicting, fold] == "unused").all()
            assert set(frame.loc[frame[fold] == "train", "class"]) == {0, 1, 2}
            if cfg["split"]["given"] == "use" and seed % 2:
                test = (frame["given"] == "test") & ~contradicting
                assert (test == (frame[fold] == "test")).all()
    assert done > 50


# ---------------------------------------------------------------- log, size


def test_log_tells_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "darkroom")
    run(tmp_path, manifest([f"class{i % 40}" for i in range(2000)]), config())
    text = caplog.text
    assert "holdout of 40 classes: train 1,360, validation 240, test 400" in text
    assert "class29" in text and "class30" not in text and "10 more classes" in text


def test_sixty_thousand_rows_in_twenty_thousand_groups() -> None:
    rng = np.random.default_rng(0)
    table = manifest([str(i) for i in rng.integers(0, 10, 60_000)])
    table["group"] = [str(i) for i in rng.integers(0, 20_000, 60_000)]
    found = plan.check(table, cfg=config())
    assert found == {"holdout": {"train", "validation", "test"}}


def test_a_given_validation_set_can_be_taken_for_the_test_set(tmp_path: Path) -> None:
    given = (["train"] * 8 + ["validation"] * 2) * 2
    table = manifest(["a"] * 10 + ["b"] * 10, split=given)
    split = run(tmp_path, table, config(given={"validation": "test"}, validation=0.25))
    assert counts(split) == {name: {"train": 6, "validation": 2, "test": 2} for name in "ab"}
    tested = set(split.table.loc[split.table["holdout"] == "test", "row"])
    assert tested == {8, 9, 18, 19}
    assert any("validation set (4 images) is taken as test" in note for note in split.notes)
    fails(table, config(given={"test": "validation"}), "the source gives no test set")


def test_a_split_that_fails_by_labels_of_another_case_says_so() -> None:
    table = manifest(["Cat"] * 10 + ["Dog"] * 10 + ["cat"] * 5 + ["dog"] * 5)
    table["split"] = ["train"] * 20 + ["test"] * 10
    with pytest.raises(
        UserError, match=r"no image to train on.*'Cat' \(10\) and 'cat' \(5\).*set classes"
    ):
        plan.check(table, cfg=config())
    merged = {"cat": ["Cat", "cat"], "dog": ["Dog", "dog"]}
    assert plan.check(table, cfg=config(merged)) == {"holdout": {"train", "validation", "test"}}


@pytest.mark.parametrize(("label", "read"), [("001", "1"), ("010", "8")])
def test_a_number_that_yaml_changed_is_to_be_quoted(label: str, read: str) -> None:
    table = manifest([label] * 20 + ["b"] * 20)
    with pytest.raises(UserError, match=rf"no image has the label '{read}': quote '{label}'"):
        plan.check(table, cfg=config({read: [read], "b": ["b"]}))
