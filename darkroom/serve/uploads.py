"""What a request brings: pictures from a form or bare, in memory, within the limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler, StopFutureHandlers

from darkroom.serve.options import Options, size

FIELD = "pictures"
NAME = 120  # characters of a file's name that are kept


class Refused(Exception):
    """A request that is not answered.

    Attributes
    ----------
    status : HTTP's. headers : of the answer. The message is the sentence.
    """

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True)
class Upload:
    """A picture that was sent.

    Attributes
    ----------
    name : of the file. data : its content. trouble : why it is not looked at, else empty.
    """

    name: str
    data: bytes
    trouble: str = ""

    def close(self) -> None:
        """Django closes what was uploaded; here nothing is open."""


def clean(name: str) -> str:
    """The last part of a file's name, of characters that can be printed."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return "".join(c if c.isprintable() else "�" for c in last)[:NAME] or "picture"


class InMemory(FileUploadHandler):  # type: ignore[misc]
    """Django's handler of uploads that writes no file and keeps no more than is allowed.

    It does not keep the request, which keeps it: their memory would wait for the garbage collector.
    """

    def __init__(self, request: Any = None) -> None:
        super().__init__()

    def new_file(self, *arguments: Any, **named: Any) -> None:
        """Begin a file of the form."""
        super().new_file(*arguments, **named)
        self.parts: list[bytes] = []
        self.length = 0
        raise StopFutureHandlers

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Keep a part of the file, up to the limit."""
        self.length += len(raw_data)
        if self.length <= settings.SERVICE.options.picture_bytes:
            self.parts.append(raw_data)
        else:
            self.parts.clear()

    def file_complete(self, file_size: int) -> Upload | None:
        """End the file; what is returned stands in `request.FILES`."""
        trouble = "" if self.parts else _too_large(self.length, settings.SERVICE.options)
        data = b"".join(self.parts)
        self.parts.clear()
        return Upload(clean(self.file_name), data, trouble)


def _too_large(length: int, options: Options) -> str:
    if length <= options.picture_bytes:
        return ""
    return f"too large: {size(length)}; a picture may have {size(options.picture_bytes)}"


def taken(request: Any) -> Sequence[Upload]:
    """The pictures of a request: of its form's field `pictures`, or its bare body.

    Raises
    ------
    Refused
        None, too many, or a body of a kind that is not read.
    """
    options = settings.SERVICE.options
    kind = request.content_type
    if kind == "multipart/form-data":
        found = [one for key in request.FILES for one in request.FILES.getlist(key)]
    elif kind.startswith("image/") or kind == "application/octet-stream":
        data = request.body
        found = [Upload("picture", data, _too_large(len(data), options))] if data else []
    else:
        raise Refused(
            415,
            f"Content-Type is {kind or 'not set'}: send multipart/form-data with a field named "
            f"{FIELD}, or a picture by itself as image/jpeg, image/png or application/octet-stream.",
        )
    if not found:
        raise Refused(400, f"No picture was sent: put one or many into the form's field {FIELD}.")
    if len(found) > options.pictures:
        raise Refused(
            413,
            f"{len(found)} pictures are too many for one request: send up to {options.pictures} "
            "at a time.",
        )
    return found
