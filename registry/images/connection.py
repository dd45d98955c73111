"""Requests to an image registry, with the authentication that it requires."""

from __future__ import annotations

import base64
import re
import warnings
from collections.abc import Mapping

import requests
from urllib3.exceptions import InsecureRequestWarning

from .. import NAME
from ..errors import StoreError
from .endpoints import DAEMON, certificate_folder, endpoints, is_loopback
from .logins import Login, login_of
from .reference import HUB

TIMEOUT = (5, 60)  # seconds to connect, and to wait for each part of the answer


class Connection:
    """An image registry. Each request may raise StoreError: it does not answer, is not an image registry, or rejects the login."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.url = ""
        """https://HOST or http://HOST, once it has answered."""
        self.authorization = ""
        self.session = requests.Session()
        self.session.auth = self.sign
        self.session.trust_env = not is_loopback(host)  # like an engine, which uses no proxy for loopback

    def ask(self, method: str, path: str, data: bytes | None = None, headers: Mapping[str, str] | None = None) -> requests.Response:
        """The answer to a request for /v2/PATH, whatever its status."""
        if not self.url:
            self.url = self.find()
        answer = self.send(method, f"{self.url}/v2/{path}", data=data, headers=headers)
        if answer.status_code == 401:
            self.authorize(answer)
            answer = self.send(method, f"{self.url}/v2/{path}", data=data, headers=headers)
            if answer.status_code == 401:
                raise self.refused(login_of(self.host))
        return answer

    def find(self) -> str:
        """The first address of the host at which an image registry answers."""
        failure = None
        for endpoint in endpoints(self.host):
            endpoint.prepare(self.session)
            try:
                answer = self.session_request("GET", f"{endpoint.url}/v2/")
            except requests.RequestException as error:
                failure = error
                continue
            if answer.status_code in {200, 401, 403}:
                return endpoint.url
            raise StoreError(f"{self.host} is not an image registry: {endpoint.url}/v2/ answers HTTP {answer.status_code} {answer.reason}")
        assert failure is not None
        raise StoreError(self.silence(failure)) from failure

    def send(self, method: str, url: str, **options: object) -> requests.Response:
        try:
            return self.session_request(method, url, **options)
        except requests.RequestException as error:
            raise StoreError(self.silence(error)) from error

    def session_request(self, method: str, url: str, **options: object) -> requests.Response:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InsecureRequestWarning)  # it is the engine's own setting
            checked = self.session.verify  # passed explicitly: otherwise REQUESTS_CA_BUNDLE would take precedence
            return self.session.request(method, url, timeout=TIMEOUT, verify=checked, **options)  # type: ignore[arg-type]

    def sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the authorization. Without such a function, requests would read ~/.netrc."""
        if self.authorization:
            request.headers["Authorization"] = self.authorization
        return request

    def authorize(self, refusal: requests.Response) -> None:
        """Log in as the registry demands: with user name and password, or with a token that is requested with them."""
        asked = refusal.headers.get("WWW-Authenticate", "")
        login = login_of(self.host)
        if bearer := re.search(r"\bBearer\b(.*)", asked, re.IGNORECASE):
            fields = dict(re.findall(r'(\w+)="([^"]*)"', bearer[1]))
            self.authorization = f"Bearer {self.token(fields, login)}"
        elif re.match("basic", asked, re.IGNORECASE):
            if login is None or login.is_identity:
                raise self.refused(login)
            self.authorization = f"Basic {base64.b64encode(f'{login.name}:{login.secret}'.encode()).decode()}"
        else:
            raise StoreError(f"the image registry at {self.host} requires an unknown kind of login: {asked or 'it does not say which'}")

    def token(self, fields: Mapping[str, str], login: Login | None) -> str:
        """A token for the scope that a challenge names, from the server that it names, as the distribution project specifies."""
        realm = fields.get("realm", "")
        asked: dict[str, object] = {key: fields[key].split(" ") for key in ("service", "scope") if fields.get(key)}
        self.authorization = ""  # the previous token is for another scope
        if login and login.is_identity:
            form = {**asked, "grant_type": "refresh_token", "client_id": NAME, "refresh_token": login.secret}
            answer = self.send("POST", realm, data=form)
        else:
            answer = self.send("GET", realm, params=asked, **({"auth": (login.name, login.secret)} if login else {}))
        if answer.status_code in {400, 401, 403}:
            raise self.refused(login)
        try:
            given = answer.json()
            return str(given.get("token") or given["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise StoreError(f"{realm}, the token server of {self.host}, answers HTTP {answer.status_code} without a token") from error

    def refused(self, login: Login | None) -> StoreError:
        if login is None:
            return StoreError(f"the image registry at {self.host} requires a login; run: {self.advice}")
        return StoreError(f"the image registry at {self.host} rejects the login in {login.source}; run: {self.advice}")

    @property
    def advice(self) -> str:
        return "docker login" if self.host == HUB else f"docker login {self.host}"

    def silence(self, error: requests.RequestException) -> str:
        """Why there is no answer, and what to do about it if that is known."""
        why = reason(error)
        if not isinstance(error, requests.exceptions.SSLError):
            return f"the image registry at {self.host} does not answer: {why}"
        folder = certificate_folder(self.host)
        told = str(error).lower().replace("_", " ")
        if "certificate verify failed" in told:
            return f"the certificate of the image registry at {self.host} is not trusted ({why}); put its CA into {folder}/ca.crt"
        if "wrong version number" in told or "record layer failure" in told:
            return (
                f"the image registry at {self.host} uses plain HTTP, which the engine does not allow; "
                f'add "{self.host}" to insecure-registries in {DAEMON}'
            )
        if "certificate required" in told or "bad certificate" in told:
            return f"the image registry at {self.host} requires a client certificate; put client.cert and client.key into {folder}"
        return f"the image registry at {self.host} cannot be reached by TLS: {why}"


def reason(error: BaseException) -> str:
    """The innermost cause of a failed request, in words."""
    while inner := getattr(error, "reason", None) or (error.args[0] if error.args and isinstance(error.args[0], BaseException) else None):
        if not isinstance(inner, BaseException):
            return str(inner)
        error = inner
    return str(error).rpartition(": ")[2]
