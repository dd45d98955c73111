"""The exceptions of the embedded server.

ServerError
├── StartError                 the server cannot start: one line, exit code 2
└── AnswerError                becomes a response in ClearML's form, with a status and a subcode
    ├── InvalidRequestError    400: the request is invalid
    │   ├── UnknownIDError     400: there is no such task, model, project or queue
    │   ├── DuplicateError     400: the name is already taken
    │   ├── UnknownFieldError  400: such documents have no field of this name
    │   └── IllegalStatusError 400: the task's status does not allow it
    ├── MovedEndpointError     301: an endpoint of earlier versions of the API
    ├── UnauthorizedError      401: no key, or a wrong one
    ├── ForbiddenError         403: a request from a page of another site, or to another host name
    ├── UnknownEndpointError   404: an endpoint that this server does not have
    ├── TooLargeError          413: a body over the limit
    ├── DamageError            500: stored data cannot be read
    └── StorageError           503: the disk refused a write; nothing of the request was stored
"""

from __future__ import annotations


class ServerError(Exception):
    """The base class of the others."""


class StartError(ServerError):
    """The server cannot start; the message is one line for the person who started it."""


class AnswerError(ServerError):
    """An error reported to the client; `status` is HTTP's, `subcode` ClearML's."""

    status = 500
    subcode = 0

    def __init__(self, message: str, *, subcode: int | None = None) -> None:
        super().__init__(message)
        if subcode is not None:
            self.subcode = subcode


class InvalidRequestError(AnswerError):
    """The request is invalid."""

    status = 400
    subcode = 12


class UnknownIDError(InvalidRequestError):
    """There is no such task, model, project or queue."""


class DuplicateError(InvalidRequestError):
    """The name is already taken."""

    subcode = 801


class UnknownFieldError(InvalidRequestError):
    """A field to order by, or to return, that such documents do not have."""

    subcode = 14


class IllegalStatusError(InvalidRequestError):
    """The task's status does not allow it."""

    subcode = 110


class MovedEndpointError(AnswerError):
    """An endpoint of earlier versions of the API."""

    status = 301


class UnauthorizedError(AnswerError):
    """No key, or a wrong one."""

    status = 401
    subcode = 20


class ForbiddenError(AnswerError):
    """A request from a page of another site, or addressed to another host name."""

    status = 403


class UnknownEndpointError(AnswerError):
    """An endpoint that this server does not have."""

    status = 404


class TooLargeError(AnswerError):
    """A body over the limit."""

    status = 413


class DamageError(AnswerError):
    """Stored data cannot be read."""

    subcode = 100


class StorageError(AnswerError):
    """The disk refused a write; nothing of the request was stored.

    The SDK repeats a request with this status until the disk has room again. With any other status it would silently drop what it sends at
    the end of a run: the last scalars, and even the status `completed`.
    """

    status = 503
    subcode = 100
    retry_after = 5
    """Seconds. The SDK repeats 240 times, but at the end of a script waits no more than 10 s for some requests."""
