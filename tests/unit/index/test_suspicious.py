"""Labels that look like a mistake."""

from __future__ import annotations

import pytest

from darkroom.index.suspicious import suspicious


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["Cat", "cat", "cat", "Dog"], "'Cat' (1) and 'cat' (2)"),
        (["1", "1.0", "2"], "'1' (1) and '1.0' (1)"),
        (["001", "1", "2"], "'001' (1) and '1' (1)"),
        (["'cat'", "cat", "dog"], "\"'cat'\" (1) and 'cat' (1)"),
        (["no finding", "No_Finding", "x"], "'No_Finding' (1) and 'no finding' (1)"),
        (["cat", "cats", "glass"], "'cat' (1) and 'cats' (1)"),
        (["cat", "cat (1)", "cat - Copy", "b"], "'cat' (1) and 'cat (1)' (1) and 'cat - Copy' (1)"),
        (["cat", "cat_augmented", "b"], "'cat' (1) and 'cat_augmented' (1)"),
        (["\uff21", "A", "b"], "'A' (1) and '\uff21' (1)"),
        (["Mass|Edema", "Edema|Mass", "x"], "'Edema|Mass' (1) and 'Mass|Edema' (1)"),
        (["Mass", "Mass|Edema", "Mass|Edema"], "2 images have several labels in one"),
        (["['a', 'b']", "['a']"], "1 images have several labels in one"),
        (["scab spot", "scab", "spot"], "1 images have several labels in one"),
        (["'cat'", "'dog'"], "labels with quotes or blanks around them: \"'cat'\" (1)"),
        (["none", "a"], "labels that may mean none: 'none' (1)"),
        (["label", "a", "b"], "look like a header or a comment: 'label' (1)"),
        (["# by me", "a", "b"], "look like a header or a comment: '# by me' (1)"),
        (["valid", "a", "b"], "labels that are names of parts of a split: 'valid' (1)"),
    ],
)
def test_suspicious_labels_are_told_with_counts(labels: list[str], told: str) -> None:
    assert any(told in sentence for sentence in suspicious(labels)), suspicious(labels)


def test_ordinary_labels_are_not_suspicious() -> None:
    for labels in (
        ["cat", "dog", None],
        ["0", "1", "10"],
        ["Apple___Black_rot", "Apple___healthy", "Corn_(maize)___healthy"],
        ["golden retriever", "labrador retriever", "golden eagle"],
        ["n01440764", "n02102040"],
        ["Pepper,_bell___healthy", "Tomato___healthy"],
        ["Speed limit (20km/h)", "Stop"],
        ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"],
    ):
        assert suspicious(labels) == []
