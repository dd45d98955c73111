"""The exceptions of the embedded server.

ServerError
├── StartError                 the server cannot start: one line, exit code 2
└── AnswerError                becomes an answer in ClearML's form, with a status and a subcode
    ├── InvalidRequestError    400: what was asked makes no sense
    │   ├── UnknownIDError     400: no such task, model, project or queue
    │   ├── DuplicateError     400: there is one of that name already
    │   ├── UnknownFieldError  400: a field that no such document has
    │   └── IllegalStatusError 400: the task's status does not allow it
    ├── MovedEndpointError     301: an end point of earlier versions of the API
    ├── UnauthorizedError      401: no key, or a wrong one
    ├── ForbiddenError         403: a request that another site's page made
    ├── UnknownEndpointError   404: an end point this server does not have
    ├── TooLargeError          413: a body over the limit
    ├── DamageError            500: stored data that cannot be read
    └── StorageError           503: the disk refused for now; nothing of the request was kept
"""

from __future__ import annotations


class ServerError(Exception):
    """Anything below."""


class StartError(ServerError):
    """The server cannot start; the message is one line for the person who started it."""


class AnswerError(ServerError):
    """A refusal that a client is told; `status` is HTTP's, `subcode` ClearML's."""

    status = 500
    subcode = 0

    def __init__(self, message: str, *, subcode: int | None = None) -> None:
        super().__init__(message)
        if subcode is not None:
            self.subcode = subcode


class InvalidRequestError(AnswerError):
    """What was asked makes no sense."""

    status = 400
    subcode = 12


class UnknownIDError(InvalidRequestError):
    """No such task, model, project or queue."""


class DuplicateError(InvalidRequestError):
    """There is one of that name already."""

    subcode = 801


class UnknownFieldError(InvalidRequestError):
    """A field to order by, or to answer with, that no such document has."""

    subcode = 14


class IllegalStatusError(InvalidRequestError):
    """The task's status does not allow it."""

    subcode = 110


class MovedEndpointError(AnswerError):
    """An end point of earlier versions of the API."""

    status = 301


class UnauthorizedError(AnswerError):
    """No key, or a wrong one."""

    status = 401
    subcode = 20


class ForbiddenError(AnswerError):
    """A request that a page of another site made, or that came under another host's name."""

    status = 403


class UnknownEndpointError(AnswerError):
    """An end point this server does not have."""

    status = 404


class TooLargeError(AnswerError):
    """A body over the limit."""

    status = 413


class DamageError(AnswerError):
    """Stored data cannot be read."""

    subcode = 100


class StorageError(AnswerError):
    """The disk refused a write for now; nothing of the request was kept.

    The SDK repeats a request that is answered so until the disk has room again. What is refused by another status it drops without a
    word at the end of a run: its last scalars, and even the status `completed`.
    """

    status = 503
    subcode = 100
    retry_after = 5
    """Seconds. The SDK repeats 240 times, and gives some waits at the end of a script no more than 10 s."""
