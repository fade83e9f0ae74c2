"""Files whole or not at all, and a sentence for what the disk refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from darkroom import ROOT
from darkroom.errors import UserError
from darkroom.images import features_file
from darkroom.machine import disk
from tests.support.refusing import UNSHARE, needs_mounts
from tests.support.waiting import PATIENCE


def test_a_file_takes_its_name_when_whole(tmp_path: Path) -> None:
    place = tmp_path / "new" / "table.csv"
    with disk.whole(place) as part:
        part.write_text("half")
        assert not place.exists() and part.suffix == ".csv" and part.name.startswith(".")
    assert place.read_text() == "half"
    with pytest.raises(ZeroDivisionError), disk.whole(place) as part:
        part.write_text("other")
        _ = 1 / 0
    assert place.read_text() == "half"
    assert [p.name for p in place.parent.iterdir()] == ["table.csv"]


def test_what_was_written_is_on_the_disc_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, synced = tmp_path / "a.json", []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda f: synced.append((fsync(f), place.exists())))
    disk.write_json(str(place), {"a": 1})
    assert synced == [(None, False)]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (
            errno.ENOSPC,
            "no space: writing below .* is full, with .* free; free some and run the same",
        ),
        (errno.EDQUOT, "quota"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EROFS, "read-only file system: make it writable"),
        (errno.EACCES, "may not be opened by you"),
        (errno.EIO, "the disk or its connection fails"),
        (errno.ESTALE, "file server"),
        (errno.ENOLCK, "gives no locks"),
        (errno.ENOENT, "is not there any more"),
        (errno.EMFILE, "ulimit -n"),
    ],
)
def test_a_refusal_is_one_sentence_that_names_the_place(
    tmp_path: Path, number: int, words: str
) -> None:
    error = OSError(number, os.strerror(number), str(tmp_path / "file"))
    said = disk.in_words(error)
    assert said is not None and str(tmp_path) in said and "\n" not in said
    with pytest.raises(UserError, match=words):
        raise UserError(said)
    try:  # what a library makes of it
        try:
            raise error
        except OSError as cause:
            raise RuntimeError("cannot be saved") from cause
    except RuntimeError as wrapped:
        assert disk.in_words(wrapped) == said


def test_the_number_is_read_from_the_words_of_libraries() -> None:
    hdf5 = RuntimeError(
        "Can't decrement id ref count (file write failed: time = today, filename = 'a.h5', file "
        "descriptor = 3, errno = 28, error message = 'No space left on device')"
    )
    assert "no space" in str(disk.in_words(hdf5, ["."]))
    worker = RuntimeError(
        "images 0 to 3:\nTraceback …\nOSError: [Errno 30] Read-only file system: 'results/x.h5'"
    )
    assert str(disk.in_words(worker)).startswith("results/x.h5 is on a read-only")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("shapes differ"),
        OSError("no number"),
        FileNotFoundError(errno.ENOENT, "of a socket"),
        ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
        ValueError("errno = 28 in a text that is none of the system's"),
    ],
)
def test_a_defect_has_no_such_sentence(error: Exception) -> None:
    assert disk.in_words(error, ["."]) is None


def test_a_limit_on_the_size_of_files_is_told(tmp_path: Path) -> None:
    """A real refusal on any machine: h5py and the arrays both meet it."""
    import subprocess
    import sys

    code = (
        "import resource, signal, sys, numpy as np; from darkroom.images import features_file\n"
        "from darkroom.errors import UserError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))\n"
        "try:\n"
        "    features_file.write_features(sys.argv[1], np.ones((4000, 2), 'f4'), np.arange(4000),\n"
        "                         np.zeros(4000), name='a', layer='b')\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )
    for limit in ("2000", "50000", "400000"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "f.h5"), limit],
            capture_output=True, text=True, timeout=PATIENCE, check=True,
        )  # fmt: skip
        if limit == "400000":
            assert (
                done.stdout == ""
                and len(features_file.open_features(str(tmp_path / "f.h5"))) == 4000
            )
        else:
            assert "no space" in done.stdout and done.stdout.count("\n") == 1, done
            assert list(tmp_path.iterdir()) == []


FULL = """
import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq
from pathlib import Path
from darkroom.images import features_file, hdf5
from darkroom.machine import disk
from darkroom.errors import UserError
many = np.random.default_rng(0).random((100_000, 4))

def parquet(place):
    with disk.whole(place) as part:
        pq.write_table(pa.table({"a": many[:, 0]}), part)

def table(place):
    import pandas
    with disk.whole(place) as part:
        pandas.DataFrame(many).to_csv(part)

def state(place):
    with disk.whole(place) as part, part.open("wb") as file:
        np.savez(file, a=many)

def columns(place):
    with hdf5.draft(str(place), {}, {"a": many}, {}):
        pass

def reserved(place):
    with hdf5.draft(str(place), {"a": ((100_000, 9), "f8")}, {}, {}):
        pass

def figure(place):
    import matplotlib.figure
    from darkroom.report import drawing
    made = matplotlib.figure.Figure((20, 20))
    made.add_subplot().imshow(many[:, :3].reshape(500, 200, 3))
    drawing.save(made, str(place))

for write in (parquet, table, state, columns, reserved, figure):
    place = Path(sys.argv[1], "file.png" if write is figure else "file")
    try:
        write(place)
        print(write.__name__, "was written")
    except Exception as error:
        said = str(error) if isinstance(error, UserError) else disk.in_words(error, [sys.argv[1]])
        assert said is not None, repr(error)
        print(write.__name__, said)
    left = [p.name for p in Path(sys.argv[1]).iterdir()]
    assert not left, left
"""


def test_a_full_disk_is_told_whatever_writes(tmp_path: Path) -> None:
    import subprocess
    import sys

    needs_mounts()
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=128k tmpfs "$1" && exec "$0" -c "$2" "$1"'
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", script, sys.executable, str(disk), FULL],
        capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        "parquet", "table", "state", "columns", "reserved", "figure",
    ]  # fmt: skip
    for line in lines:
        assert "no space" in line and str(disk) in line and "free" in line, line


def test_arrays_need_no_lock(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, numpy as np; from tests.support.refusing import refuse_locks; refuse_locks()\n"
        "from darkroom.images import features_file\n"
        "features_file.write_features(sys.argv[1], np.ones((3, 2), 'f4'), np.arange(3), np.zeros(3),\n"
        "                     name='a', layer='b')\n"
        "assert features_file.open_features(sys.argv[1]).features.sum() == 6\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "f.h5")],
        check=True, timeout=PATIENCE, cwd=ROOT,
    )  # fmt: skip
    assert np.asarray(features_file.open_features(str(tmp_path / "f.h5")).features).sum() == 6
