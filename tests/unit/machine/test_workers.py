"""Worker processes: all blocks done once, errors told, nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import UserError
from darkroom.machine import workers
from tests.support.waiting import until


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(("n", "block"), [(10, 3), (10, 10), (1, 5), (0, 5)])
def test_every_item_is_done_once(tmp_path: Path, n: int, block: int, threads: int) -> None:
    done = np.memmap(tmp_path / "done", np.int64, "w+", shape=max(n, 1))

    def work(start: int, stop: int) -> None:
        assert 0 < stop - start <= block
        done[start:stop] += 1 + np.arange(start, stop)

    workers.in_blocks(work, n, block=block, threads=threads, what="count")
    assert done[:n].tolist() == list(range(1, n + 1))


def test_blocks_are_bounded_and_shared_out() -> None:
    assert workers.block_size(10**6, 3072, 2) == 256
    assert workers.block_size(10**6, 1 << 20, 2) == 8
    assert workers.block_size(10**6, 1 << 30, 2) == 1
    assert workers.block_size(64, 10, 2) == 2
    assert workers.block_size(0, 10, 2) == 1


def test_a_worker_answers_each_block_until_its_parent_is_gone() -> None:
    """What a forked process does, here where it can be watched."""
    ours, theirs = Pipe()
    other, _ = Pipe()
    answers: list[object] = []

    def work(start: int, stop: int) -> None:
        if start == 2:
            raise UserError("gone")
        if start == 4:
            raise KeyError("defect")

    def ask() -> None:
        for block in [(0, 2), (2, 4), (4, 6)]:
            ours.send(block)
            answers.append(ours.recv())
        ours.close()

    asking = threading.Thread(target=ask)
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    asking.start()
    try:
        workers._serve(work, theirs, [other])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    asking.join()
    assert answers[0] is None and isinstance(answers[1], UserError)
    assert isinstance(answers[2], RuntimeError) and "KeyError: 'defect'" in str(answers[2])
    assert other.closed


def test_a_users_mistake_comes_back_as_one() -> None:
    def work(start: int, stop: int) -> None:
        if start == 4:
            raise UserError("the fifth is gone")

    with pytest.raises(UserError, match=r"^the fifth is gone$"):
        workers.in_blocks(work, 8, block=2, threads=2, what="count")


def test_a_defect_comes_back_with_its_traceback() -> None:
    def work(start: int, stop: int) -> None:
        raise ZeroDivisionError("oh")

    with pytest.raises(RuntimeError, match=r"(?s)images \d to \d.*Traceback.*ZeroDivisionError"):
        workers.in_blocks(work, 8, block=2, threads=2, what="count")


@pytest.mark.parametrize("how", ["SIGKILL", "status 3"])
def test_a_killed_worker_is_told(how: str) -> None:
    def work(start: int, stop: int) -> None:
        if start == 4 and how == "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)
        elif start == 4:
            os._exit(3)

    with pytest.raises(UserError, match=f"{how} between images 4 and 6.*memory"):
        workers.in_blocks(work, 8, block=2, threads=2, what="count")


def test_a_crew_answers_round_after_round_and_a_death_costs_one_item() -> None:
    def work(start: int, stop: int) -> list[int]:
        if start <= 5 < stop:
            os.kill(os.getpid(), signal.SIGKILL)
        return list(range(start, stop))

    def crashed(start: int, how: str) -> list[object]:
        return [f"{start} {how}"]

    with workers.Pool(work, 2, crashed) as pool:
        pids = {p.pid for p in pool.workers.values()}
        first = {a: answer for a, _, answer in pool.each([(0, 2), (2, 4)])}
        assert first == {0: [0, 1], 2: [2, 3]}
        assert {p.pid for p in pool.workers.values()} == pids
        second = {a: answer for a, _, answer in pool.each([(4, 8), (8, 9)])}
        assert second == {4: [4], 5: ["5 signal SIGKILL"], 6: [6], 7: [7], 8: [8]}
        assert len(pool.workers) == 2
        kept = list(pool.workers.values())
    assert not any(p.is_alive() for p in kept)


def test_an_image_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(start: int, stop: int) -> list[int]:
        while start <= 5 < stop:
            pass
        return list(range(start, stop))

    monkeypatch.setattr(workers, "LIMIT", 0.3)
    with workers.Pool(work, 2, lambda start, how: [how]) as pool:
        said = {a: answer for a, _, answer in pool.each([(0, 4), (4, 7)])}
    hangs = "the limit of 0.3 s of computing for an image: it hangs"
    assert said == {0: [0, 1, 2, 3], 4: [4], 5: [hangs], 6: [6]}
    with pytest.raises(UserError, match="between images 5 and 6: find the image"):
        workers.in_blocks(work, 8, block=1, threads=2, what="count")  # type: ignore[arg-type]


def test_what_the_disk_refuses_a_worker_keeps_its_number_and_file() -> None:
    def work(start: int, stop: int) -> None:
        Path("no/such/file").read_bytes()

    with pytest.raises(FileNotFoundError) as caught, workers.Pool(work, 1) as pool:
        list(pool.each([(0, 1)]))
    assert caught.value.filename == "no/such/file" and "items 0 to 1" in caught.value.__notes__[0]


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    script = """
import os, sys, time
from pathlib import Path
from darkroom.machine import workers

def work(start, stop):
    Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(0.05)

workers.in_blocks(work, 10**6, block=1, threads=2, what="wait")
"""
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    until(lambda: len(list(tmp_path.iterdir())) >= 2)
    parent.kill()
    parent.wait()
    pids = [int(p.name) for p in tmp_path.iterdir()]
    assert len(pids) == 2
    until(lambda: not any(running(pid) for pid in pids))


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(("size", "most"), [(workers.LARGE, 1), (workers.LARGE - 1, 3)])
def test_large_things_are_held_in_turn(tmp_path: Path, size: int, most: int) -> None:
    log = tmp_path / "log"
    log.touch()

    def work(start: int, stop: int) -> None:
        with workers.in_turn(size), log.open("a") as file:
            for step in (1, -1):
                file.write(f"{step}\n")
                file.flush()
                time.sleep(0.2)

    workers.in_blocks(work, 3, block=1, threads=3, what="count")
    held = np.cumsum([int(line) for line in log.read_text().split()])
    assert held.max() == most


def test_a_worker_that_dies_gives_its_turn_away(tmp_path: Path) -> None:
    def work(start: int, stop: int) -> int:
        with workers.in_turn(workers.LARGE):
            if start == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return start

    with workers.Pool(work, 2, lambda start, how: -start) as pool:
        found = {start: answer for start, _, answer in pool.each([(i, i + 1) for i in range(6)])}
    assert found == {i: -1 if i == 1 else i for i in range(6)}
