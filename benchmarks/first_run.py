"""From a folder of photographs to a report by the transfer recipe, beside a plain script.

    python -m benchmarks.first_run --data FOLDER       # with cats_dogs.zip and MobileNet's file

The script reads and resizes the photographs, embeds them by Keras, and fits and tests the same two
classifiers: no report, no intervals, no checks. Both are whole processes with what they start, on the
same files, rounds in turn. Darkroom runs twice: in an empty folder, where it brings the weights and
writes the backbone as ONNX, and where a run before did that. Prints two Markdown tables: CPU and wall
seconds and memory of each, and the CPU seconds of each of Darkroom's stages.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import defaultdict
from pathlib import Path

from benchmarks.prepare import peak_memory

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = "mobilenet_2_5_224_tf_no_top.h5"

PLAIN = """
import sys
from pathlib import Path
import cv2, keras, numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

files = sorted(Path(sys.argv[1]).rglob("*.jpg"))
label = np.array([file.parent.name for file in files])
size = (224, 224)
images = [cv2.resize(cv2.imread(str(f)), size, interpolation=cv2.INTER_AREA)[..., ::-1] for f in files]
x = keras.applications.mobilenet.preprocess_input(np.stack(images).astype("float32"))
net = keras.applications.MobileNet(alpha=0.25, include_top=False, pooling="avg",
                                   weights=sys.argv[2], input_shape=(224, 224, 3))
x = net.predict(x, verbose=0)
a, b, p, q = train_test_split(x, label, test_size=0.2, stratify=label, random_state=0)
scale = StandardScaler().fit(a)
for model in (SVC(C=10), LogisticRegression(C=16 / x.shape[1], max_iter=1000)):
    print(type(model).__name__, model.fit(scale.transform(a), p).score(scale.transform(b), q))
"""

# Each Python process of a run adds its own CPU seconds, and its workers', when it ends.
COUNT = """
import atexit, os, resource, sys

def count(pid=os.getpid()):
    if os.getpid() == pid:
        own, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        name = os.path.basename(sys.argv[0])
        used = own.ru_utime + own.ru_stime
        if name != "__main__.py":  # of Snakemake, whose children are the stages
            used += workers.ru_utime + workers.ru_stime
        with open(os.environ["COUNTED"], "a") as file:
            print(name, used, file=file)

atexit.register(count)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help=f"with cats_dogs.zip and {WEIGHTS}"
    )
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=1, help="of each; the best counts")
    parser.add_argument("--no-memory", action="store_true", help="no further round for the memory")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photographs = unpacked(args.data / "cats_dogs.zip", folder / "photographs", args.images)
        (folder / "count").mkdir()
        (folder / "count/sitecustomize.py").write_text(COUNT)
        plain = [sys.executable, "-c", PLAIN, str(photographs), str(args.data / WEIGHTS)]
        ours = ["--config", f"data={photographs}", f"mirror={args.data}"]
        found: dict[str, list[tuple[float, float]]] = {}
        stages: dict[str, float] = {}
        for _ in range(args.rounds):
            found.setdefault("plain script", []).append(timed(plain, folder))
            shutil.rmtree(folder / "run", ignore_errors=True)
            for what in ("Darkroom, first run of all", "Darkroom, backbone at hand"):
                shutil.rmtree(folder / "run/results", ignore_errors=True)
                took, stages = darkroom(folder, ours)
                found.setdefault(what, []).append(took)
        peaks = dict.fromkeys(found, "")
        if not args.no_memory:
            shutil.rmtree(folder / "run/results")
            peaks["plain script"] = f"{peak_memory(plain):,.0f}"
            command = snakemake(folder, ours)
            peaks["Darkroom, backbone at hand"] = f"{peak_memory(command):,.0f}"
        base = min(found["plain script"])[0]
        print("| folder to report | CPU s | of the script's | wall s | memory, MB |")
        print("|---|--:|--:|--:|--:|")
        for what, rounds in found.items():
            cpu, wall = min(rounds)
            print(f"| {what} | {cpu:.1f} | {cpu / base:.2f} | {wall:.0f} | {peaks[what]} |")
        print("\n| stage | CPU s | share |\n|---|--:|--:|")
        for stage, used in sorted(stages.items(), key=lambda item: -item[1]):
            print(f"| {stage} | {used:.1f} | {used / sum(stages.values()):.2f} |")


def unpacked(archive: Path, place: Path, images: int) -> Path:
    """The first images of each class of the archive, in a folder."""
    with zipfile.ZipFile(archive) as file:
        names = sorted(n for n in file.namelist() if n.endswith(".jpg"))
        for label in {Path(name).parent for name in names}:
            own = [name for name in names if Path(name).parent == label]
            file.extractall(place, own[: images // 2])
    return place


def snakemake(folder: Path, words: list[str]) -> list[str]:
    """The command that runs Darkroom in a folder of its own."""
    (folder / "run").mkdir(exist_ok=True)
    where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder / "run")]
    profile = ["--workflow-profile", str(ROOT / "profiles/default")]
    return [sys.executable, "-m", "snakemake", "--cores", "2", *where, *profile, *words]


def darkroom(folder: Path, words: list[str]) -> tuple[tuple[float, float], dict[str, float]]:
    """CPU and wall seconds of a run, and the CPU seconds of its stages."""
    counted = folder / "counted"
    counted.unlink(missing_ok=True)
    took = timed(snakemake(folder, words), folder, COUNTED=str(counted))
    stages: defaultdict[str, float] = defaultdict(float)
    for line in counted.read_text().splitlines():
        name, used = line.rsplit(maxsplit=1)
        script = name.split(".")[1] if name.startswith("tmp") else "Snakemake"
        stages[script] += float(used)
    return took, stages


def timed(command: list[str], folder: Path, **more: str) -> tuple[float, float]:
    """CPU and wall seconds of a process with all that it starts."""

    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **more}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else each job compiles its modules anew
    if more:
        environment["PYTHONPATH"] = str(folder / "count")
    before, start = cpu(), time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command[:3]} ended with status {done.returncode}\n{done.stderr}")
    return cpu() - before, time.monotonic() - start


if __name__ == "__main__":
    main()
