"""The image registry that images are pushed to and pulled from, asked directly: what it has, without fetching it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

import requests
from oras.auth import AuthenticationException, get_auth_backend
from oras.container import Container

from .errors import StoreError

KINDS = ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json")
PAGE = 1000  # tags asked for at once
TIMEOUT = (5, 60)  # seconds to connect, and to wait for a piece of the answer


@dataclass(frozen=True)
class Stored:
    """An image in the registry."""

    digest: str
    size: int
    """Bytes to fetch: its packed layers."""


class ImageStore:
    """One repository of an image registry (HOST/NAMESPACE/NAME), with the credentials that `docker login` left.

    The requests are those of the OCI distribution specification, version 1.1.
    """

    def __init__(self, repository: str) -> None:
        self.repository = repository
        self.host, _, self.name = repository.partition("/")
        self.url = f"{'http' if is_loopback(self.host) else 'https'}://{self.host}/v2/{self.name}"
        self.session = requests.Session()

    def find(self, tag: str) -> Stored | None:
        """The image of that tag, or None.

        Raises:
            StoreError: when the registry does not answer or refuses.
        """
        answer = self.ask("GET", f"manifests/{tag}", Accept=", ".join(KINDS))
        if answer.status_code == 404:
            return None
        manifest: dict[str, Any] = answer.json()
        return Stored(answer.headers["Docker-Content-Digest"], sum(layer["size"] for layer in manifest["layers"]))

    def labels(self, tag: str) -> dict[str, str] | None:
        """The labels of the image of that tag (or digest), or None if there is none."""
        manifest = self.ask("GET", f"manifests/{tag}", Accept=", ".join(KINDS))
        if manifest.status_code == 404:
            return None
        configuration = self.ask("GET", f"blobs/{manifest.json()['config']['digest']}").json()
        return configuration.get("config", {}).get("Labels") or {}

    def tags(self) -> list[str]:
        """Every tag of the repository, sorted; none where the repository is not there yet."""
        found: list[str] = []
        page = f"tags/list?n={PAGE}"
        while page:
            answer = self.ask("GET", page)
            if answer.status_code == 404:
                return []
            found += answer.json().get("tags") or []
            following = answer.links.get("next", {}).get("url", "")
            page = f"tags/list?{following.partition('?')[2]}" if following else ""
        return sorted(found)

    def add_tags(self, tag: str, others: list[str]) -> None:
        """Let other tags name what `tag` names."""
        answer = self.ask("GET", f"manifests/{tag}", Accept=", ".join(KINDS))
        for other in others:
            self.ask("PUT", f"manifests/{other}", answer.content, **{"Content-Type": answer.headers["Content-Type"]})

    def ask(self, method: str, path: str, data: bytes | None = None, **headers: str) -> requests.Response:
        """The answer, which may be that there is no such thing (404)."""
        try:
            answer = self.session.request(method, f"{self.url}/{path}", data=data, headers=headers, timeout=TIMEOUT)
            if answer.status_code == 401:
                allowed, changed = self.authentication(answer).authenticate_request(answer, dict(headers))
                if changed:
                    answer = self.session.request(method, f"{self.url}/{path}", data=data, headers=allowed, timeout=TIMEOUT)
        except requests.RequestException as error:
            raise StoreError(f"the image registry at {self.host} does not answer: {reason(error)}") from error
        except (AuthenticationException, AttributeError) as error:  # the second is how oras ends without a name and a password
            raise StoreError(f"the image registry at {self.host} asks for a name and a password: docker login {self.host}") from error
        if answer.ok or (method == "GET" and answer.status_code == 404):
            return answer
        raise StoreError(
            f"the image registry at {self.host} refuses {method} of {self.name}/{path}: HTTP {answer.status_code} {answer.reason}"
            + (f"; docker login {self.host}" if answer.status_code in {401, 403} else "")
        )

    def authentication(self, refusal: requests.Response) -> Any:
        """The way that the registry asks for: name and password themselves, or a token that they are exchanged for."""
        asked = refusal.headers.get("WWW-Authenticate", "").lower()
        way = get_auth_backend("basic" if asked.startswith("basic") else "token", self.session, is_loopback(self.host))
        way.load_configs(Container(self.repository, registry=self.host))
        return way


def reason(error: BaseException) -> str:
    """The innermost cause of a failed request, in words."""
    while inner := getattr(error, "reason", None) or (error.args[0] if error.args and isinstance(error.args[0], BaseException) else None):
        if not isinstance(inner, BaseException):
            return str(inner)
        error = inner
    return str(error).rpartition(": ")[2]


def is_loopback(host: str) -> bool:
    """Whether a registry is on this machine, where engines speak plain HTTP to it."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
