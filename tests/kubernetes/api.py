"""A stand-in for a Kubernetes cluster: a pod is a process in an empty folder of its own.

Of the API it has what Snakemake's plugin calls: secrets, jobs, and the pod and the log of a job.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

KEPT = ("SSL_", "PIP_", "REQUESTS_", "CURL_")  # of the environment: how pods reach a package index


@dataclass
class Pod:
    """A job and its pod."""

    body: dict[str, Any]
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    @property
    def rules(self) -> str:
        """The rules that it may run, as its command names them."""
        words = re.search(r"--allowed-rules ((?:'?\w+'? )+)", self.container["args"][1])
        return words[1].strip() if words else ""

    @property
    def container(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["spec"]["template"]["spec"]["containers"][0]
        return found

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


class Api:
    """The cluster behind the API.

    Parameters
    ----------
    root : folder of the pods' folders. programs : of each pod's PATH, what its image would hold.
    """

    def __init__(self, root: Path, programs: str) -> None:
        self.root, self.programs = root, programs
        self.secrets: dict[str, dict[str, str]] = {}
        self.pods: dict[str, Pod] = {}
        self.started: list[Pod] = []  # all, those that are deleted too

    def start(self, body: dict[str, Any]) -> None:
        name = body["metadata"]["name"]
        folder = self.root / f"{len(self.started)}-{name}"
        folder.mkdir(parents=True)
        container = body["spec"]["template"]["spec"]["containers"][0]
        env = {"PATH": f"{self.programs}:/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
        env |= {k: v for k, v in os.environ.items() if k.startswith(KEPT)}
        for given in container.get("env") or []:
            key = given["valueFrom"]["secretKeyRef"]
            value = self.secrets[key["name"]][key["key"]]
            env[given["name"]] = base64.b64decode(value).decode()
        with folder.with_suffix(".log").open("wb") as log:
            process = subprocess.Popen(
                [*container["command"], *container["args"]],
                cwd=folder,
                env=env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pods[name] = Pod(body, folder, process)
        self.started.append(self.pods[name])


class Handler(BaseHTTPRequestHandler):
    api: Api

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body, path = self._body(), urlparse(self.path).path
        if path.endswith("/secrets"):
            self.api.secrets[body["metadata"]["name"]] = body["data"]
        elif path.endswith("/jobs"):
            self.api.start(body)
        else:
            return self._say(404, {})
        return self._say(201, body)

    def do_GET(self) -> None:
        where = urlparse(self.path)
        if found := re.search(r"/jobs/([^/]+)/status$", where.path):
            pod = self.api.pods.get(found[1])
            if pod is None:
                return self._say(404, {})
            code = pod.process.poll()
            status = {} if code is None else {"failed" if code else "succeeded": 1}
            return self._say(200, pod.body | {"status": status})
        if where.path.endswith("/pods"):
            name = parse_qs(where.query)["labelSelector"][0].removeprefix("job-name=")
            items = [_pod(name, self.api.pods[name])] if name in self.api.pods else []
            return self._say(200, {"metadata": {}, "items": items})
        if found := re.search(r"/pods/([^/]+)/log$", where.path):
            return self._say(200, self.api.pods[found[1]].log.read_text())
        return self._say(404, {})

    def do_DELETE(self) -> None:
        self._body()
        found = re.search(r"/jobs/([^/?]+)", self.path)
        if found and found[1] in self.api.pods:
            self.api.pods.pop(found[1]).kill()
        self._say(200, {"status": "Success"})

    def _body(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length") or 0)
        body: dict[str, Any] = json.loads(self.rfile.read(length) or b"{}")
        return body

    def _say(self, code: int, value: dict[str, Any] | str) -> None:
        plain = isinstance(value, str)
        data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain" if plain else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _pod(name: str, pod: Pod) -> dict[str, Any]:
    code = pod.process.poll()
    state: dict[str, Any] = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
    container = {"name": "snakemake", "state": state, "image": "", "imageID": "", "ready": True}
    return {
        "metadata": {"name": name},
        "spec": {"containers": []},
        "status": {"containerStatuses": [container | {"restartCount": 0}]},
    }


@contextlib.contextmanager
def serving(api: Api) -> Iterator[str]:
    """The address of the API, for as long as the body runs; pods end with it."""
    handler = type("Bound", (Handler,), {"api": api})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        for pod in api.started:
            pod.kill()
