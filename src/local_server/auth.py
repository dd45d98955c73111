"""Keys, tokens and the cookie: who may use the server.

The keys are created at the first start. A client exchanges its key and secret (HTTP Basic) for a signed token at `auth.login`, and sends
the token from then on. The page's address contains a key of its own, which becomes a cookie that scripts cannot read. A request with the
cookie must come from the server's own page, and if it changes something it must be a POST that proves so: following a link must not
change anything. Every request must be addressed to this machine, so that no other site can reach the server through a browser.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jwt
from jwt.types import Options
from starlette.requests import HTTPConnection

from harness.files import replaced

from .callers import Caller
from .documents import COMPANY, USER
from .errors import ForbiddenError, InvalidRequestError, StartError, UnauthorizedError

API_VERSION = "2.34"
SERVER_VERSION = "2.3.0"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_DAY = 24 * 3600
_LONGEST = 30 * _DAY
_ALGORITHM = "HS256"
_OF_AGENTS = ("x-clearml-agent", "x-trains-agent")  # what clearml-agent sends where the SDK sends X-ClearML-Client
# ClearML's subcodes of a 401.
_NO_SCHEME, _NO_CREDENTIALS, _MALFORMED, _WRONG_KEY, _BAD_TOKEN = 10, 20, 21, 22, 30


@dataclass(frozen=True)
class Keys:
    """The secrets of one data folder."""

    access_key: str
    secret_key: str
    page_key: str
    signing_key: str

    @classmethod
    def of(cls, folder: Path) -> Keys:
        """The keys of a data folder, created at its first use and readable by its owner only.

        Raises:
            StartError: the file is damaged, or cannot be written.
        """
        path = folder / "keys.json"
        try:
            if not path.exists():
                made = cls(secrets.token_hex(10).upper(), secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48))
                write_private(path, json.dumps(asdict(made), indent=1) + "\n")
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise StartError(f"cannot use the keys in {path}: {error}") from error


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, atomically."""
    with replaced(path) as beside, os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)


class Guard:
    """Checks requests against the keys; `port` is the server's."""

    def __init__(self, keys: Keys, port: int) -> None:
        self._keys = keys
        self._hosts = {f"{host}:{port}" for host in LOOPBACK}
        if port == 80:
            self._hosts |= set(LOOPBACK)  # clients leave out the default port of HTTP
        self.cookie = f"clearml_workloads_{port}"  # browsers keep cookies per host, not per port

    def check_host(self, request: HTTPConnection) -> None:
        """Raises ForbiddenError unless the request is addressed to this machine, not to a foreign name for it (DNS rebinding)."""
        if request.headers.get("host", "") not in self._hosts:
            raise ForbiddenError("this server only accepts requests addressed to 127.0.0.1 or localhost")

    def check(self, request: HTTPConnection) -> Caller:
        """The caller of a request. `check_wish` decides what the page's cookie allows.

        Raises:
            UnauthorizedError: it has no valid token, key or cookie.
            ForbiddenError: it has the cookie, but comes from another site.
        """
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        session = ""
        if scheme.lower() == "bearer":
            session = self._verify(value.strip(), "api")
        elif scheme.lower() == "basic":
            self.check_key(value.strip())
        elif self.cookie in request.cookies:
            self._check_same_site(request)
            self._verify(request.cookies[self.cookie], "page")
        else:
            subcode = _NO_SCHEME if scheme else _NO_CREDENTIALS
            raise UnauthorizedError("Unauthorized (missing credentials)", subcode=subcode)
        return Caller(session, any(name in request.headers for name in _OF_AGENTS), by_cookie=scheme == "")

    def check_wish(self, request: HTTPConnection, *methods: str) -> None:
        """Raises ForbiddenError unless a change is requested by the server's own page, rather than by a link or an address."""
        own = request.headers.get("sec-fetch-site") == "same-origin" or self._from_own_page(request)
        if request.scope.get("method") not in methods or not own:
            raise ForbiddenError(
                f"a request that changes something must be a {' or '.join(methods)} from this server's own page, or have a key"
            )

    def check_key(self, value: str) -> None:
        """Raises UnauthorizedError unless HTTP Basic's value is the access key with its secret."""
        try:
            access_key, _, secret_key = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise UnauthorizedError("Unauthorized (malformed credentials)", subcode=_MALFORMED) from None
        right = hmac.compare_digest(access_key.encode(), self._keys.access_key.encode())
        if not hmac.compare_digest(secret_key.encode(), self._keys.secret_key.encode()) or not right:
            raise UnauthorizedError("Unauthorized (invalid credentials: failed to locate provided credentials)", subcode=_WRONG_KEY)

    def token(self, expiration_sec: int | str | None, caller: Caller) -> str:
        """A token for the API, for the caller's session or a new one; valid for a day by default, for 30 days at most."""
        asked = str(expiration_sec or _DAY)
        if not asked.isdecimal():
            raise InvalidRequestError("Validation error: expiration_sec must be a number of seconds")
        return self._sign("api", min(int(asked), _LONGEST), caller.session)

    def page_cookie(self, key: str) -> tuple[str, int]:
        """The cookie's value and lifetime in seconds, for the key in the page's address. Raises UnauthorizedError for a wrong key."""
        if not hmac.compare_digest(key.encode(), self._keys.page_key.encode()):
            raise UnauthorizedError("this address is not valid; `registry up` prints the valid one")
        return self._sign("page", _LONGEST), _LONGEST

    def _sign(self, use: str, seconds: int, session: str = "") -> str:
        now = int(time.time())
        claims = {
            "iat": now,
            "exp": now + seconds,
            "auth_type": "Bearer",
            "use": use,
            "jti": session or secrets.token_hex(8),
            "identity": {
                "user": USER["id"],
                "company": COMPANY["id"],
                "user_name": USER["name"],
                "company_name": COMPANY["name"],
                "role": "user",
            },
            "api_version": API_VERSION,
            "server_version": SERVER_VERSION,
            "feature_set": "basic",
        }
        return jwt.encode(claims, self._keys.signing_key, algorithm=_ALGORITHM)

    def _verify(self, token: str, use: str) -> str:
        """The token's session."""
        # A token from the future is valid as well: the clock may have been set back since.
        options: Options = {"verify_iat": False}
        try:
            claims: dict[str, Any] = jwt.decode(token, self._keys.signing_key, algorithms=[_ALGORITHM], options=options)
        except jwt.InvalidTokenError:
            raise UnauthorizedError("Unauthorized (invalid token)", subcode=_BAD_TOKEN) from None
        if claims.get("use") != use:
            raise UnauthorizedError("Unauthorized (invalid token)", subcode=_BAD_TOKEN)
        return str(claims.get("jti") or "")

    def _check_same_site(self, request: HTTPConnection) -> None:
        """Browsers state where a request comes from; every request but a GET has to."""
        site = request.headers.get("sec-fetch-site", "same-origin")
        origin = request.headers.get("origin")
        if site not in ("same-origin", "none") or (origin is not None and not self._from_own_page(request)):
            raise ForbiddenError("this request comes from a page of another site")
        if request.scope.get("method") != "GET" and origin is None and "sec-fetch-site" not in request.headers:
            raise ForbiddenError("a request with the page's cookie must state its origin")

    def _from_own_page(self, request: HTTPConnection) -> bool:
        return request.headers.get("origin", "") == f"http://{request.headers.get('host')}"  # check_host has checked the host
