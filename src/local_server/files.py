"""The file server: uploads are atomic, downloads are streamed, and no path leads out of its folder."""

from __future__ import annotations

import errno
import mimetypes
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from harness.files import sync

from .auth import Guard
from .errors import AnswerError, InvalidRequestError

_WRITTEN_AT_ONCE = 2**20
# Files come from runs and are served from the page's origin, so scripts in them must not be executed.
_HARMLESS = {"Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'", "X-Content-Type-Options": "nosniff"}
_SHOWN = ("image/", "video/", "audio/", "text/plain", "application/json")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FileServer:
    """An ASGI application that serves `folder`: POST multipart (each field's name is a path), GET with ranges, HEAD, DELETE."""

    def __init__(self, folder: Path, guard: Guard) -> None:
        self._files = folder / "files"
        self._arriving = folder / "arriving"
        self._guard = guard
        shutil.rmtree(self._arriving, ignore_errors=True)  # left by uploads that a kill interrupted
        for made in (self._files, self._arriving):
            made.mkdir(parents=True, exist_ok=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            if self._guard.check(request).by_cookie and request.method not in ("GET", "HEAD"):
                self._guard.check_wish(request, "POST", "DELETE")
            answer = await self._answer(request)
        except AnswerError as error:
            answer = PlainTextResponse(str(error), error.status)
        except ClientDisconnect:
            return
        except OSError as error:
            full = error.errno in _FULL
            answer = PlainTextResponse(f"the server could not store the file: {error.strerror}", 507 if full else 500)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method == "POST":
            return JSONResponse(await self._store(request))
        path = self.path(request.scope["path"].removeprefix(request.scope.get("root_path", "")))
        if not await run_in_threadpool(path.is_file):
            return PlainTextResponse("no such file", 404)
        if request.method in ("GET", "HEAD"):
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            disposition = "inline" if kind.startswith(_SHOWN) and kind != "image/svg+xml" else "attachment"
            return FileResponse(path, media_type=kind, headers=_HARMLESS, filename=path.name, content_disposition_type=disposition)
        if request.method == "DELETE":
            await run_in_threadpool(path.unlink, missing_ok=True)
            return PlainTextResponse("deleted")
        return PlainTextResponse("GET, HEAD, POST or DELETE", 405)

    def path(self, name: str) -> Path:
        """The path of the file with this name. Raises InvalidRequestError if it leads out of the folder, or no file can have it."""
        # HTML's escape of a quote in field names. The SDK also uses it in addresses, and both must lead to the same file
        parts = [part for part in name.replace("%22", '"').split("/") if part]
        if not parts or any(part in (".", "..") or "\0" in part or "\\" in part or len(part.encode()) > 255 for part in parts):
            raise InvalidRequestError(f"Invalid file name: {name!r}")
        return self._files.joinpath(*parts)

    async def _store(self, request: Request) -> list[str]:
        kind, options = parse_options_header(request.headers.get("content-type"))
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise InvalidRequestError("an upload must be multipart/form-data")
        upload = _Upload(self._arriving, self.path)
        parser = MultipartParser(options[b"boundary"], upload.callbacks())
        try:
            async for part in request.stream():
                parser.write(part)
                if upload.buffered >= _WRITTEN_AT_ONCE:
                    await run_in_threadpool(upload.drain)
            await run_in_threadpool(upload.finish)
        except MultipartParseError as error:
            raise InvalidRequestError(f"the upload is damaged: {error}") from error
        finally:
            await run_in_threadpool(upload.clear)
        return upload.names


class _Upload:
    """The files of one request, kept in a temporary folder until the last byte has arrived."""

    def __init__(self, arriving: Path, path: Callable[[str], Path]) -> None:
        self._folder = arriving / uuid.uuid4().hex
        self._folder.mkdir()
        self._path = path
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._pending: list[bytes] = []
        self._open: BinaryIO | None = None
        self._places: list[tuple[Path, Path]] = []
        self._ended = False
        self.buffered = 0
        self.names: list[str] = []

    def callbacks(self) -> Any:
        return {
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._begin,
            "on_part_data": self._data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _end_header(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _begin(self) -> None:
        options = parse_options_header(self._disposition)[1]
        name = options.get(b"name", b"").decode("utf-8", "replace")
        target = self._path(name)
        place = self._folder / str(len(self._places))
        self._open = place.open("wb")
        self._places.append((place, target))
        self.names.append(name)

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._pending.append(data[start:end])
        self.buffered += end - start

    def _end_part(self) -> None:
        self.drain()
        if self._open is not None:
            self._open.close()
        self._open = None

    def _end(self) -> None:
        self._ended = True

    def drain(self) -> None:
        """Write the received bytes to their file."""
        if self._open is not None and self._pending:
            self._open.write(b"".join(self._pending))
        self._pending.clear()
        self.buffered = 0

    def finish(self) -> None:
        """Move the files to their final paths, once all of them are on disk."""
        if not self._ended:
            raise InvalidRequestError("the upload was cut off")
        if not self._places:
            raise InvalidRequestError("the upload contains no file")
        for place, _ in self._places:
            sync(place)
        for place, target in self._places:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                place.replace(target)
            except (NotADirectoryError, FileExistsError, IsADirectoryError):
                raise InvalidRequestError(
                    f"the path is taken: a folder has the name of this file, or a file that of its folder: {target.name}"
                ) from None
            sync(target.parent)

    def clear(self) -> None:
        """Remove what is left of an incomplete upload."""
        if self._open is not None:
            self._open.close()
        shutil.rmtree(self._folder, ignore_errors=True)
