"""Preparing images: Darkroom against the loop that most tutorials publish.

    python -m benchmarks.prepare --data FOLDER        # with cifar10.zip and cats_dogs.zip

Both read the same files, warm in the page cache, each in a process of its own that is
timed from start to end; runs alternate, and medians are compared. The loop ends with a
float32 array in memory, Darkroom with an HDF5 file flushed to the disk. Peak memory is
measured in a separate run: the sum of the proportional set sizes (PSS) of all processes,
sampled every 10 ms. Shared pages count once, and mapped pages of the written file count.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import archives
from tests.support.indexed import POLICY

ROOT = Path(__file__).resolve().parent.parent
CACHE = str(Path(tempfile.gettempdir()) / "darkroom-benchmark-bytecode")

LOOP = """
import sys
import cv2
import numpy as np

paths, size, method = open(sys.argv[1]).read().split("\\n"), int(sys.argv[2]), sys.argv[3]
images = []
for path in paths:
    image = cv2.imread(path)
    image = cv2.resize(image, (size, size), interpolation=getattr(cv2, method))
    images.append(image)
data = np.array(images).astype("float32") / 255
"""

OURS = """
import json, sys
from darkroom.images.prepare import prepare_images

source, manifest, output, cfg, threads = sys.argv[1:]
prepare_images(source, manifest, output, cfg=json.loads(cfg), threads=int(threads))
"""

# (the loop's filter, ours): twice the same filter, then its default against ours.
PAIRS = [("INTER_LINEAR", "linear"), ("INTER_AREA", "area"), ("INTER_LINEAR", "auto")]

# Bytes that the loop needs per value: list, array, float32, and float32 divided.
LOOP_BYTES = 1 + 1 + 4 + 4


class Job:
    """One set of files at one size, and the two programs on it."""

    def __init__(self, folder: Path, files: list[Path], size: int, threads: int) -> None:
        self.folder, self.size, self.threads = folder, size, threads
        self.files = files
        (folder / "paths.txt").write_text("\n".join(map(str, files)))
        (folder / "source.json").write_text(json.dumps({"root": "/"}))
        labels = [file.parent.name for file in files]
        table = pa.table(
            {
                "row": pa.array(range(len(files)), pa.int64()),
                "path": [str(file).lstrip("/") for file in files],
                "label": labels,
                "bytes": pa.array([file.stat().st_size for file in files], pa.int64()),
                "status": ["ok"] * len(files),
            }
        )
        meta = {"dataset": "benchmark", "labels": sorted(set(labels))}
        table = table.replace_schema_metadata({"darkroom": json.dumps(meta)})
        pq.write_table(table, folder / "manifest.parquet")

    def loop(self, method: str) -> list[str]:
        paths = str(self.folder / "paths.txt")
        return [sys.executable, "-c", LOOP, paths, str(self.size), method]

    def ours(self, kernel: str) -> list[str]:
        view = {"size": self.size, "color": "rgb", "resize": "squash", "filter": kernel}
        cfg = json.dumps({"view": view, "decode": POLICY})
        files = [str(self.folder / n) for n in ("source.json", "manifest.parquet", "out.h5")]
        return [sys.executable, "-c", OURS, *files, cfg, str(self.threads)]

    def check(self) -> None:
        """Check that both programs give equal pixels with the same filter."""
        from darkroom.images import store

        made = store.open_images(str(self.folder / "out.h5"))
        for i in range(0, len(self.files), max(1, len(self.files) // 20)):
            image = cv2.imread(str(self.files[i]))
            assert image is not None
            plain = cv2.resize(image, (self.size, self.size))
            if not np.array_equal(made.images[i], plain[..., ::-1]):
                raise SystemExit(f"{self.files[i]}: the two programs differ")


def environment() -> dict[str, str]:
    """Environment of both programs: compiled modules are cached, as in ordinary use."""
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return variables | {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": CACHE}


def seconds(command: list[str]) -> float:
    """Wall time of a program from its start to its end."""
    start = time.perf_counter()
    subprocess.run(command, check=True, env=environment())
    return time.perf_counter() - start


def peak_memory(command: list[str]) -> float:
    """Largest sum of PSS over a program and its children, in MB."""
    process = subprocess.Popen(command, env=environment())
    peak, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.01):
            peak = max(peak, sum(pss(pid) for pid in family(process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    done.set()
    watcher.join()
    if status:
        raise SystemExit(f"{command[:3]} ended with status {status}")
    return peak


def family(pid: int) -> list[int]:
    found = [pid]
    for known in found:
        for thread in Path(f"/proc/{known}/task").glob("*"):
            with contextlib.suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def pss(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return int(text.split("\nPss:")[1].split()[0]) / 1000 if "\nPss:" in text else 0.0


def measure(name: str, job: Job, runs: int) -> list[str]:
    """Rows of the table for one job."""
    methods = sorted({method for method, _ in PAIRS})
    kernels = sorted({kernel for _, kernel in PAIRS})
    took: dict[str, list[float]] = {x: [] for x in methods + kernels}
    for path in job.files:  # into the page cache
        path.read_bytes()
    memory = {"loop": peak_memory(job.loop("INTER_AREA")), "ours": peak_memory(job.ours("auto"))}
    for _ in range(runs):
        for method in methods:
            took[method].append(seconds(job.loop(method)))
        for kernel in kernels:
            (job.folder / "out.h5").unlink(missing_ok=True)
            took[kernel].append(seconds(job.ours(kernel)))
            if kernel == "linear":
                job.check()
    rows = []
    for method, kernel in PAIRS:
        loop, ours = statistics.median(took[method]), statistics.median(took[kernel])
        rows.append(
            f"| {name} | {len(job.files):,} | {job.size} | {method} | {kernel} | {loop:.2f} | "
            f"{ours:.2f} | **{loop / ours:.2f}** | {memory['loop']:,.0f} | {memory['ours']:,.0f} | "
            f"{memory['ours'] / memory['loop']:.2f} |"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", required=True, help="folder of the archives")
    parser.add_argument("--archives", nargs="+", default=["cifar10.zip", "cats_dogs.zip"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[32, 64, 224])
    parser.add_argument("--runs", type=int, default=5, help="runs of each program")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--memory", type=float, default=8, help="most GB for the loop")
    parser.add_argument("--images", type=int, help="most images of an archive")
    args = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.cores])

    print(
        "| archive | images | pixels | loop | ours | loop, s | ours, s | times faster | "
        "loop, MB | ours, MB | memory |\n|---|--:|--:|---|---|--:|--:|--:|--:|--:|--:|"
    )
    scratch = Path(tempfile.mkdtemp(prefix="darkroom-benchmark-"))
    try:
        for archive in args.archives:
            files = archives.unpack(Path(args.data) / archive, scratch / Path(archive).stem)
            for size in args.sizes:
                # The loop keeps all images in memory, which limits their number.
                fits = int(args.memory * 1e9 / (size * size * 3 * LOOP_BYTES))
                n = min(len(files), fits, args.images or len(files))
                chosen = [files[i] for i in np.linspace(0, len(files) - 1, n).astype(int)]
                job = Job(scratch, chosen, size, args.cores)
                print("\n".join(measure(Path(archive).stem, job, args.runs)), flush=True)
    finally:
        shutil.rmtree(scratch)
        shutil.rmtree(CACHE, ignore_errors=True)


if __name__ == "__main__":
    main()
