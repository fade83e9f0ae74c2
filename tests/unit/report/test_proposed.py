"""What a score may owe to images of the same subject."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from darkroom.report.proposed import neighbours
from tests.support.report_folder import Folder, Plan
from tests.support.report_page import write


def test_a_neighbour_of_the_same_subject_tells_what_others_do_not() -> None:
    random = np.random.default_rng(0)
    subject = np.repeat(np.arange(60), 4)
    label = random.integers(0, 2, 60)[subject]
    place = random.normal(size=(60, 12)) * 5
    vectors = (place[subject] + random.normal(size=(240, 12)) * 0.1).astype(np.float32)
    known, unknown = neighbours(vectors, label, subject.astype(str))
    assert known == 1.0
    assert 0.3 < unknown < 0.7  # a subject tells nothing of another
    assert neighbours(vectors, label, np.arange(240).astype(str)) == (1.0, 1.0)


def test_the_page_names_subjects_that_the_split_divides(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(per_class=100))
    folder.table.loc[: folder.n - 1, "path"] = [
        f"{c}/patient{i // 4:03d}_{i % 4}.png"
        for i, c in enumerate(folder.table["label"][: folder.n])
    ]
    folder.write_manifest()
    text = write(folder).text
    assert "File names look like 75 subjects" in text
    assert "Subjects on both sides of the split" in text
    assert "where others of its group are known" in text
    folder.table["group"] = folder.table["path"].str[:-6]
    folder.write_manifest()
    assert "File names look like" not in write(folder).text
