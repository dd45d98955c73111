"""Responses as JSON: encoded in pieces, so that a large one is never in memory twice, and limited, so that none can exhaust memory."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from .errors import InvalidRequestError

LARGEST_ANSWER = 256 * 2**20
_PIECE = 2**18
_SENT_WHOLE = 2**20
# A placeholder for encoded text in a response. It is random in each process, so that no client can send it.
_MARK = uuid.uuid4().hex
_ENCODED_MARK = f'"{_MARK}"'.encode()
_HEADERS = {"Cache-Control": "no-store"}


class Room:
    """How much text a response may still hold."""

    def __init__(self, size: int = LARGEST_ANSWER) -> None:
        self._size = self._left = size

    def take(self, size: int) -> None:
        """Raises InvalidRequestError if the response would become too large."""
        self._left -= size
        if self._left < 0:
            raise InvalidRequestError(
                f"the response would exceed {self._size >> 20} MiB; request less, by batch_size, samples, iters, metrics or tasks"
            )


class Text:
    """An encoded JSON array, made from its encoded items; `count` is their number."""

    def __init__(self, items: Iterable[str | bytes], room: Room) -> None:
        self.count = 0
        self.pieces: list[bytes] = []
        open_piece = bytearray(b"[")
        for item in items:
            text = item.encode() if isinstance(item, str) else item
            room.take(len(text) + 1)
            if self.count:
                open_piece += b","
            open_piece += text
            self.count += 1
            if len(open_piece) >= _PIECE:
                self.pieces.append(bytes(open_piece))
                open_piece.clear()
        self.pieces.append(bytes(open_piece + b"]"))


def encode(value: Any) -> bytes:
    """JSON of anything in a response or a document."""
    return msgspec.json.encode(value)


def decode(text: str) -> Any:
    """The value of JSON made by `encode`."""
    return msgspec.json.decode(text)


def pieces(value: Any) -> list[bytes]:
    """JSON of a value that may contain `Text`."""
    texts: list[Text] = []

    def mark(text: Text) -> str:
        texts.append(text)
        return _MARK

    framed = msgspec.json.encode(value, enc_hook=mark).split(_ENCODED_MARK)
    for index, text in reversed([*enumerate(texts, 1)]):
        framed[index:index] = text.pieces
    return framed


def envelope(
    name: str, version: str, data: Iterable[bytes] = (b"{}",), status: int = 200, subcode: int = 0, message: str = "OK"
) -> Response:
    """A response in ClearML's envelope around `data` as JSON."""
    trx = uuid.uuid4().hex
    meta = {
        "id": trx,
        "trx": trx,
        "endpoint": {"name": name, "requested_version": version, "actual_version": version},
        "result_code": status,
        "result_subcode": subcode,
        "result_msg": message,
        "error_stack": "",
        "error_data": {},
    }
    body = [b'{"meta":' + encode(meta) + b',"data":', *data, b"}"]
    size = sum(map(len, body))
    if size <= _SENT_WHOLE:
        return Response(b"".join(body), status, _HEADERS, "application/json")
    return StreamingResponse(_sent(body), status, _HEADERS | {"Content-Length": str(size)}, "application/json")


async def _sent(body: list[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces, releasing each once it is being sent."""
    body.reverse()
    while body:
        yield body.pop()
