"""Request bodies: read within limits, large ones two at a time, and parsed in threads, within the memory there is."""

from __future__ import annotations

import asyncio
import io
import math
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from .errors import InvalidRequestError, TooLargeError

MOST_VALUES = 1_000_000
"""The most values in one JSON text, and events in one batch: each takes up to 200 bytes of memory, however short its text."""
DEEPEST = 100
STALLED = 30.0
"""Seconds without a byte after which the sender of a body counts as gone."""

_SMALL = 2**18
_PARSED_AT_ONCE = 2**15
_LONG_TEXT = 2**16
_INTEGERS = range(-(2**63), 2**63)
# Strings are matched so that their contents are left alone. A number with an exponent of three digits may exceed the largest double.
_STRING_OR_NO_NUMBER = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|-?Infinity|NaN|-?\d++(?:\.\d++)?[eE]\+?\d{3,}+', re.DOTALL)
_PAIR_OR_HALF = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(\\u[dD][89a-fA-F]..)|\\.", re.DOTALL)


@dataclass(frozen=True)
class Body:
    """What an endpoint accepts: the fields of one request, or, as `lines`, a list of them, one JSON value per line."""

    largest: int
    """Maximum size in bytes."""
    lines: bool = False
    long_texts: bool = False
    """Long strings, such as plots, may stay encoded (msgspec.Raw)."""


FIELDS = Body(16 * 2**20)
"""The size limit is that of a document in ClearML's own database; only events need more."""
EVENT = Body(64 * 2**20, long_texts=True)
EVENTS = Body(128 * 2**20, lines=True, long_texts=True)


class Bodies:
    """Reads and parses bodies. Two large ones are processed at a time; others wait before they are read."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(2)

    @asynccontextmanager
    async def parsed(self, request: Request, name: str, form: Body = FIELDS) -> AsyncIterator[tuple[Any, bool]]:
        """The fields of a request to an endpoint, from its JSON body or else its query, and whether the body was large.

        A large body keeps its place among the two until the block ends.

        Raises:
            TooLargeError: the body exceeds the endpoint's limit, or contains too many values.
            InvalidRequestError: it is not JSON, or contains what cannot be stored.
        """
        parts = request.stream().__aiter__()
        body = bytearray()
        more = await _read(parts, body, min(_SMALL, form.largest))
        if more:
            async with self._turns:
                if await _read(parts, body, form.largest):
                    raise TooLargeError(f"the request exceeds {form.largest >> 20} MiB, the limit of {name}")
                yield await run_in_threadpool(_fields, body, form, request.query_params), True
        elif len(body) > _PARSED_AT_ONCE:
            yield await run_in_threadpool(_fields, body, form, request.query_params), False
        else:
            yield _fields(body, form, request.query_params), False


async def _read(parts: AsyncIterator[bytes], body: bytearray, limit: int) -> bool:
    """Read until the end, or until there is more than `limit`: then return True."""
    while len(body) <= limit:
        try:
            async with asyncio.timeout(STALLED):
                body += await anext(parts)
        except StopAsyncIteration:
            return False
        except ClientDisconnect:
            raise InvalidRequestError("the sender closed the connection") from None
        except TimeoutError:
            raise InvalidRequestError(f"no data of the request's body arrived for {STALLED:g} s") from None
    return True


def _fields(body: bytearray, form: Body, query: Mapping[str, str]) -> Any:
    text = bytes(body)
    body.clear()
    try:
        if form.lines:
            return _lines(text)
        fields = parse(text, long_texts=form.long_texts) if text.strip() else dict(query)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise InvalidRequestError(f"the request is not JSON: {error}", subcode=0) from error
    if not isinstance(fields, dict):
        raise InvalidRequestError("the request is not a JSON object", subcode=0)
    _check(fields, DEEPEST)
    return fields


def _lines(text: bytes) -> list[Any]:
    values = []
    for line in io.BytesIO(text):
        if not line.isspace():
            values.append(_event(line))
            if len(values) > MOST_VALUES:
                raise TooLargeError(f"the batch contains more than {MOST_VALUES:,} events")
    return values


def _event(line: bytes) -> Any:
    """One event of a batch, with the replacement character in place of each lone surrogate.

    Python clients send lone surrogates for output that is not UTF-8; the rest of a batch must not be lost because of them.
    """
    try:
        event = parse(line, long_texts=True)
    except msgspec.DecodeError:
        event = parse(_PAIR_OR_HALF.sub(lambda found: rb"\ufffd" if found[1] else found[0], line), long_texts=True)
    if line.count(b"[") + line.count(b"{") > DEEPEST:
        _check(event, DEEPEST)
    return event


def parse(text: bytes, *, long_texts: bool = False) -> Any:
    """Parse a JSON value. NaN, Infinity and 1e999, which Python accepts, become null; `long_texts`, such as plots, may stay encoded (Raw).

    Raises:
        msgspec.MsgspecError, ValueError, RecursionError: it is not JSON, or not Unicode.
        TooLargeError: it contains too many values.
    """
    try:
        return _decoded(text, long_texts)
    except msgspec.DecodeError:
        finite = _STRING_OR_NO_NUMBER.sub(lambda found: found[0] if _is_string_or_finite(found[0]) else b"null", text)
        if finite == text:
            raise
        return _decoded(finite, long_texts)


def _is_string_or_finite(part: bytes) -> bool:
    return part.startswith(b'"') or math.isfinite(float(part))


def _decoded(text: bytes, long_texts: bool) -> Any:
    if len(text) <= MOST_VALUES:
        return msgspec.json.decode(text)
    if not text.lstrip(b" \t\r\n").startswith(b"{"):
        _count(text)
        return msgspec.json.decode(text)
    text.decode()  # what stays encoded must be Unicode as well
    fields = {key: bytes(item) for key, item in msgspec.json.decode(text, type=dict[str, msgspec.Raw]).items()}
    for item in fields.values():
        if item[:1] != b'"':
            _count(item)
    return {
        key: msgspec.Raw(item) if long_texts and len(item) > _LONG_TEXT and item[:1] == b'"' else msgspec.json.decode(item)
        for key, item in fields.items()
    }


def _count(text: bytes) -> None:
    """Raises TooLargeError if this part of a text, which is not a string, contains too many values.

    Values are counted by their separators, without parsing, as parsing is what would take the memory.
    """
    if sum(text.count(mark) for mark in (b",", b"[", b"{")) > MOST_VALUES:
        raise TooLargeError(f"the request contains more than {MOST_VALUES:,} values")


def _check(value: Any, depth: int) -> None:
    """Raises InvalidRequestError for values nested too deeply, and for integers that a database cannot store."""
    if isinstance(value, dict | list):
        if depth == 0:
            raise InvalidRequestError(f"the request is nested more than {DEEPEST} levels deep")
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, depth - 1)
    elif isinstance(value, int) and value not in _INTEGERS:
        raise InvalidRequestError(f"the request contains an integer of more than 64 bits: {str(value)[:40]}")
