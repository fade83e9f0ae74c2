"""The web application's API beside plain FastAPI scripts, one on ONNX Runtime and one on Keras.

All three serve the same MobileNet (0.25, 224 pixels, a head of two classes, random weights) with one
process, and are asked by 1, 8 and 50 clients that each keep a connection and send one picture a
request: a JPEG of 224 pixels, and a photograph of 12 megapixels. The peers decode with OpenCV,
resize and predict, without a check of the file, a limit, or a decoder that may die; a third has these,
counts and a log as well. CPU milliseconds a request, of the server and its children, are what a busy machine does not change.

    pip install --target /tmp/peer fastapi uvicorn python-multipart
    python -m benchmarks.serving --peer /tmp/peer

With gunicorn and granian in that folder, `--servers` lets these serve the application in waitress' place.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SIDE = 224
CLIENTS = (1, 8, 50)
PEER = """
import sys
import cv2, numpy as np
from fastapi import FastAPI, UploadFile
app = FastAPI()
if "{engine}" == "onnx":
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession("{folder}/model.onnx", options)
    ask = lambda pixels: session.run(["probabilities"], {{"image": pixels}})[0]
else:
    import keras
    network = keras.models.load_model("{folder}/model.keras", compile=False)
    ask = lambda pixels: network.predict_on_batch(pixels)
ask(np.zeros((1, 224, 224, 3), np.uint8))

@app.post("/predict")
def predict(pictures: UploadFile):
    image = cv2.imdecode(np.frombuffer(pictures.file.read(), np.uint8), cv2.IMREAD_COLOR_RGB)
    image = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)
    return ask(image[None])[0].tolist()

@app.get("/readyz")
def ready():
    return {{}}
"""


# The plain script with a part of what the application does: limits, decoders that may die, counts, a log.
CHECKED = """
import concurrent.futures, io, json, sys, time
import cv2, numpy as np
import onnxruntime as ort
from fastapi import FastAPI, HTTPException, UploadFile
from PIL import Image
from prometheus_client import Counter, Histogram
app = FastAPI()
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession("{folder}/model.onnx", options)
pool = concurrent.futures.ProcessPoolExecutor(2)
seconds = Histogram("seconds", "of a request")
classes = Counter("pictures", "by class", ["predicted"])

def decode(data):
    with Image.open(io.BytesIO(data)) as header:
        if header.format not in ("JPEG", "PNG") or header.width * header.height > 50_000_000:
            return None
    cv2.setNumThreads(1)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)

@app.post("/predict")
def predict(pictures: UploadFile):
    began = time.perf_counter()
    data = pictures.file.read(20_000_001)
    if len(data) > 20_000_000:
        raise HTTPException(413, "too large")
    image = pool.submit(decode, data).result(timeout=30)
    if image is None:
        raise HTTPException(422, "no picture")
    p = session.run(["probabilities"], {{"image": image[None]}})[0][0].tolist()
    classes.labels(str(p.index(max(p)))).inc()
    seconds.observe(time.perf_counter() - began)
    print(json.dumps({{"ms": 1000 * (time.perf_counter() - began), "status": 200}}), file=sys.stderr)
    return {{"predicted": p.index(max(p)), "probabilities": p}}

@app.get("/readyz")
def ready():
    return {{}}
"""

WSGI = """
from darkroom.serve import site
from darkroom.serve.options import Options
from darkroom.serve.service import Service
service = Service(["{folder}/model.onnx"], Options(workers={workers}, rate=9999999))
site.log_to()
application = site.application(service, 50 * "k")
service.find()
service.load()
"""
# Workers, and decoders of each: two pictures are decoded at a time by all of them.
SERVERS = {
    "gunicorn, sync": (1, "gunicorn -w 2 -b 127.0.0.1:{port} wsgi_1:application"),
    "gunicorn, gthread": (
        2,
        "gunicorn -k gthread --threads 4 -b 127.0.0.1:{port} wsgi_2:application",
    ),
    "granian": (
        2,
        "granian --interface wsgi --blocking-threads 2 --host 127.0.0.1 --port {port} wsgi_2:application",
    ),
}


def networks(folder: Path) -> None:
    """Write the network as model.keras and model.onnx."""
    import keras

    from darkroom.infer import export

    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    base = keras.applications.MobileNet(
        alpha=0.25, include_top=False, weights=None, pooling="avg", input_shape=(SIDE, SIDE, 3)
    )
    network = keras.Model(
        image, keras.layers.Dense(2, activation="softmax", name="softmax")(base(x))
    )
    network.save(folder / "model.keras")
    facts = {
        "dataset": "benchmark", "model": "mobilenet", "seed": 0, "fold": "holdout", "epoch": 1,
        "classes": ["cat", "dog"],
        "view": {"size": SIDE, "color": "rgb", "resize": "squash", "filter": "auto"},
        "decode": {"orientation": "apply", "sixteen_bit": "scale", "palette": "convert",
                   "alpha": "white", "cmyk": "convert", "gray": "convert", "animated": "first",
                   "wrong_suffix": "accept"},
    }  # fmt: skip
    pixels = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3)).astype(np.uint8)
    export.write(network, str(folder / "model.onnx"), facts, pixels)


def pictures() -> dict[str, bytes]:
    """A JPEG of about 30 kB, and a photograph of 12 megapixels."""
    import cv2

    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (24, 32, 3)).astype(np.uint8)
    found = {}
    for name, size, noise in (("224 px", (SIDE, SIDE), 40), ("12 MP", (4000, 3000), 12)):
        image: Any = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC).astype(np.int16)
        image += rng.normal(0, noise, image.shape).astype(np.int16)
        _, data = cv2.imencode(".jpg", image.clip(0, 255).astype(np.uint8), [1, 90])
        found[name] = data.tobytes()
    return found


def load(port: int, path: str, data: bytes, clients: int, seconds: float) -> list[float]:
    """Seconds of each request that clients made side by side for a while."""
    body = b"\r\n".join(
        [
            b"--b",
            b'Content-Disposition: form-data; name="pictures"; filename="a.jpg"',
            b"Content-Type: image/jpeg\r\n",
            data,
            b"--b--\r\n",
        ]
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    took: list[float] = []
    end = time.monotonic() + seconds

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while time.monotonic() < end:
            began = time.perf_counter()
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {text[:200]!r}")
            took.append(time.perf_counter() - began)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


def started(command: list[str], port: int, env: dict[str, str]) -> tuple[Any, float]:
    """A server that is ready, and the seconds until then."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    while True:
        if process.poll() is not None or time.perf_counter() - began > 180:
            raise RuntimeError(f"{command} does not start")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return process, time.perf_counter() - began
        except OSError:
            pass
        time.sleep(0.1)


def end(process: Any) -> None:
    """End a server and those of its children that outlive it."""
    import psutil

    children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    process.wait()
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


def computed(process: Any) -> float:
    """CPU seconds of a process and its children."""
    import psutil

    own = psutil.Process(process.pid)
    times = [one.cpu_times() for one in (own, *own.children(recursive=True))]
    return float(sum(time.user + time.system for time in times))


def memory(process: Any) -> float:
    """Resident MB of a process and its children, what they share counted once."""
    import psutil

    own = psutil.Process(process.pid)
    family = [own, *own.children(recursive=True)]
    return float(sum(one.memory_full_info().pss for one in family)) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--peer", help="folder with fastapi, uvicorn and python-multipart")
    parser.add_argument("--servers", action="store_true", help="the application by other servers")
    parser.add_argument("--pictures", nargs="+", default=["224 px", "12 MP"])
    parser.add_argument("--without", nargs="+", default=[], help="servers that are left out")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement")
    parser.add_argument("--port", type=int, default=8031)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(
            [sys.executable, "-c", f"from pathlib import Path; from benchmarks.serving import "
             f"networks; networks(Path({name!r}))"], cwd=ROOT, check=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        port = given.port
        env = os.environ | {"XDG_STATE_HOME": name, "TF_CPP_MIN_LOG_LEVEL": "3"}
        env["ORT_DISABLE_TELEMETRY"] = "1"  # of the peers too
        servers: dict[str, tuple[list[str], str]] = {
            "Darkroom": (
                [
                    "darkroom",
                    "serve",
                    f"{name}/model.onnx",
                    "--port",
                    str(port),
                    "--rate",
                    "9999999",
                ],
                "/api/v1/predict",
            )
        }
        if given.peer:
            env["PYTHONPATH"] = f"{name}:{given.peer}"
            for engine in ("onnx", "onnx, checked", "keras"):
                text = CHECKED if "checked" in engine else PEER
                module = f"peer_{engine.replace(', ', '_')}"
                (folder / f"{module}.py").write_text(text.format(engine=engine, folder=name))
                words = ["uvicorn", f"{module}:app", "--port", str(port), "--no-access-log"]
                servers[f"FastAPI, {engine}"] = (words, "/predict")
            if given.servers:
                for decoders, _ in SERVERS.values():
                    text = WSGI.format(folder=name, workers=decoders)
                    (folder / f"wsgi_{decoders}.py").write_text(text)
                servers |= {
                    server: (command.format(port=port).split(), "/api/v1/predict")
                    for server, (_, command) in SERVERS.items()
                }
        columns = ("clients", "a second", "CPU ms", "p50 ms", "p99 ms")
        print(f"{'':<24}{'picture':<9}", *(f"{column:>9}" for column in columns))
        for server, (words, path) in servers.items():
            if server in given.without:
                continue
            process, seconds = started([sys.executable, "-m", *words], port, env)
            try:
                for picture, data in pictures().items():
                    if picture not in given.pictures:
                        continue
                    load(port, path, data, 2, 1.0)
                    for clients in CLIENTS:
                        began, before = time.perf_counter(), computed(process)
                        took = np.array(load(port, path, data, clients, given.seconds)) * 1000
                        p50, p99 = np.percentile(took, [50, 99])
                        rate = len(took) / (time.perf_counter() - began)
                        cpu = 1000 * (computed(process) - before) / len(took)
                        shown = (f"{x:>9.1f}" for x in (clients, rate, cpu, p50, p99))
                        print(f"{server:<24}{picture:<9}", *shown, flush=True)
                print(f"{server}: ready after {seconds:.1f} s, {memory(process):.0f} MB")
            finally:
                end(process)
    print(json.dumps({name: len(data) for name, data in pictures().items()}))


if __name__ == "__main__":
    main()
