"""A local server for tests: it speaks Kaggle's protocol, gives plain files, and misbehaves.

    with Server({"/pets.zip": data}) as server: ...

- `POST /api/v1/<service>/<method>` answers as Kaggle does: JSON about a data set or
  competition, and for a download a redirect to a signed address on another host name, so that
  a client that carries its Authorization there is found out.
- `GET /…` gives a file, with Range, If-Range and ETag (unless `ranges` is off).
- `script` holds what the next requests meet instead, one entry each: ("cut", n) breaks the
  connection after n bytes of the body, a status or (status, headers) answers with that,
  ("slow", seconds) sleeps before each 16 kB, None is a good answer.
  Two scripts: `api` for the POSTs that start a download, `script` for the files.
- `shift`: the next answer with a range begins so many bytes too late (and says so).
- `requests` lists (method, path, headers) of all that came.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

TOKEN = "KGAT_0123456789abcdef0123456789abcdef"
USERNAME, KEY = "ada", "00112233445566778899aabbccddeeff"
SIGNATURE = "5ec7e75169"
MESSAGES = {
    401: "Unauthenticated",
    403: "You must accept this competition's rules before you can continue.",
    404: "Not found",
    429: "Too many requests",
}


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, files: dict[str, bytes], port: int = 0, **settings: Any) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.files = files
        self.ranges: bool = settings.get("ranges", True)
        self.etags: bool = settings.get("etags", True)
        self.lengths: bool = settings.get("lengths", True)
        self.md5: str | None = settings.get("md5")
        self.protected: bool = settings.get("protected", True)
        self.script: list[Any] = []
        self.api: list[Any] = []
        self.always: Any = None
        self.version = 3
        self.shift = 0
        self.pieces = 0
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def gets(self) -> list[dict[str, str]]:
        """Headers of the requests for files."""
        return [h for method, _, h in self.requests if method == "GET"]

    def handle_error(self, *_: object) -> None:
        """A client that went away is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def _note(self) -> None:
        self.server.requests.append((self.command, self.path, dict(self.headers)))

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _json(self, value: Any, status: int = 200, **headers: str) -> None:
        self._answer(status, json.dumps(value).encode(), Content_Type="application/json", **headers)

    def _refuse(self, step: Any) -> None:
        status, headers = step if isinstance(step, tuple) else (step, {})
        if status == 200:  # Kaggle's old habit: the status in the JSON alone
            self._json({"code": 403, "message": MESSAGES[403]})
            return
        said = headers.pop("message", MESSAGES.get(status, "Oh"))
        self._json(
            {"code": status, "message": said},
            status,
            **{k.replace("-", "_"): v for k, v in headers.items()},
        )

    # -- Kaggle's own protocol

    def do_POST(self) -> None:
        self._note()
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method = self.path.rpartition("/")[2]
        server = self.server
        if method == "GenerateAccessToken":
            good = asked.get("refreshToken") == "refresh-me"
            self._json({"token": TOKEN, "expiresIn": 3600}) if good else self._refuse(401)
            return
        basic = base64.b64encode(f"{USERNAME}:{KEY}".encode()).decode()
        if server.protected and self.headers.get("Authorization") not in (
            f"Bearer {TOKEN}",
            f"Basic {basic}",
        ):
            self._refuse(401)
            return
        if method == "GetDataset":
            self._json(
                {
                    "ref": f"{asked['ownerSlug']}/{asked['datasetSlug']}",
                    "currentVersionNumber": server.version,
                    "licenseName": "CC0-1.0",
                }
            )
        elif method == "GetCompetition":
            self._json({"ref": asked["competitionName"]})
        elif method in ("DownloadDataset", "DownloadDataFiles"):
            if server.api and (step := server.api.pop(0)) is not None:
                self._refuse(step)
                return
            name = asked.get("datasetSlug") or asked["competitionName"]
            version = asked.get("datasetVersionNumber")
            path = f"/{name}-{version}.zip" if version else f"/{name}.zip"
            if path not in server.files:
                self._refuse(404)
                return
            # another name of this host: Authorization must not follow
            there = f"http://127.0.0.1:{server.server_port}{path}?X-Goog-Signature={SIGNATURE}"
            self._answer(302, Location=there)
        else:
            self._refuse(501)

    # -- files

    def do_HEAD(self) -> None:
        self._note()
        self.send_response(200 if unquote(self.path) in self.server.files else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self._note()
        server = self.server
        step = server.script.pop(0) if server.script else server.always
        if step is not None and not (isinstance(step, tuple) and step[0] in ("cut", "slow")):
            self._refuse(step)
            return
        data = server.files.get(unquote(self.path.partition("?")[0]))
        if data is None:
            self._refuse(404)
            return
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        first, status = 0, 200
        wanted = self.headers.get("Range")
        same = self.headers.get("If-Range") in (None, etag)
        if wanted and server.ranges and same:
            first, status = int(wanted.removeprefix("bytes=").rstrip("-")), 206
            first, server.shift = first + server.shift, 0
            if first >= len(data):
                self._answer(416, Content_Range=f"bytes */{len(data)}")
                return
        body = data[first:]
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        if server.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if server.etags:
            self.send_header("ETag", etag)
        if server.md5 is not None:
            self.send_header("x-goog-hash", "crc32c=AAAAAA==")
            self.send_header("x-goog-hash", f"md5={server.md5}")
        if server.lengths:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if isinstance(step, tuple) and step[0] == "cut":
            self.wfile.write(body[: step[1]])
            self.close_connection = True
            return
        pause = step[1] if isinstance(step, tuple) else 0
        for at in range(0, len(body), 1 << 14 if pause else max(len(body), 1)):
            self.wfile.write(body[at : at + (1 << 14)] if pause else body)
            if pause:
                server.pieces += 1
                time.sleep(pause)
        if not server.lengths:
            self.close_connection = True
