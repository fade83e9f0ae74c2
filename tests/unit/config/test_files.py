"""Settings files that Snakemake could not read, or would read wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkroom.config.files import load
from darkroom.errors import UserError

WRONG: dict[str, tuple[bytes, str]] = {
    "a tab": (b"run: {}\ndatasets:\n\td: 1\n", "3: the line begins with a tab"),
    "latin-1": (b"run: {}\n# K\xe4fer\n", "2: the byte 0xe4 is not UTF-8"),
    "utf-16": ("run: {}".encode("utf-16"), "1: the byte 0xff is not UTF-8"),
    "a key twice": (b"run: {}\ndata: x\nrun: {}\n", "3: 'run' stands here for the second time"),
    "an open bracket": (b"run: {}\ndata: [x\nmodels: {}\n", "3: not YAML: "),
    "nested deep": (b"a: " + b"[" * 900 + b"]" * 900, "1: settings lie 50 levels deep"),
    "nested without end": (b"run: {}\na: &x\n  b: *x\n", "3: *x refers to what it stands in"),
    "a list": (b"- run\n", "1: a settings file has keys and values (run: …), and this is a list"),
    "nothing": (b"# run\n", "1: a settings file has keys and values (run: …), and this is empty"),
    "two documents": (b"run: {}\n---\ndata: x\n", "2: not YAML"),
    "an object": (b"run: !!python/object:os.system x\n", "1: not YAML: could not determine"),
}


@pytest.mark.parametrize(("content", "said"), WRONG.values(), ids=WRONG)
def test_a_file_that_is_no_settings_is_told_with_its_line(
    content: bytes, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError) as told:
        load(file)
    assert str(told.value).startswith(f"{file}:{said}") and "\n" not in str(told.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mine\.yaml: there is no such file"):
        load(tmp_path / "mine.yaml")


def test_settings_as_editors_write_them(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    for content in (
        b"\xef\xbb\xbfdata: K\xc3\xa4fer\r\nrun: {}\r\n",
        b"data: &x K\xc3\xa4fer\nrun: {}\n",
        b'{\n\t"data": "K\\u00e4fer",\n\t"run": {}\n}',
    ):
        file.write_bytes(content)
        assert load(file) == {"data": "K\u00e4fer", "run": {}}
