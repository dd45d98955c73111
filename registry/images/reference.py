"""Names of images, parsed as the engine does: HOST/PATH:TAG or HOST/PATH@DIGEST; without a host, on Docker Hub."""

from __future__ import annotations

from dataclasses import dataclass

HUB = "docker.io"


@dataclass(frozen=True)
class Reference:
    """An image in an image registry."""

    host: str
    """HOST, HOST:PORT or [IPv6]:PORT."""
    path: str
    """The repository on that host."""
    tag: str
    """The tag, or the digest if there is one."""


def read(name: str) -> Reference:
    """Parse a name. The first part is a host if it cannot be a namespace on Docker Hub: it has `.`, `:` or a capital, or is `localhost`."""
    repository, tag = split(name)
    host, slash, path = repository.partition("/")
    if not slash or (not set(".:") & set(host) and host == host.lower() and host != "localhost"):
        host, path = HUB, repository
    if host == "index.docker.io":
        host = HUB
    if host == HUB and "/" not in path:
        path = f"library/{path}"
    return Reference(host, path, tag)


def split(name: str) -> tuple[str, str]:
    """The repository, as written, and the tag or digest. If there are both, the digest counts."""
    rest, _, digest = name.partition("@")
    head, _, tail = rest.rpartition(":")
    tagged = bool(head) and "/" not in tail
    return (head if tagged else rest), digest or (tail if tagged else "latest")


def has_digest(name: str) -> bool:
    """Whether a name contains a digest, so that it always means the same image."""
    return "@sha256:" in name
