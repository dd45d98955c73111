"""Names of images, read as the engine reads them: HOST/PATH:TAG or HOST/PATH@DIGEST, on Docker Hub where no host is named."""

from __future__ import annotations

from dataclasses import dataclass

HUB = "docker.io"


@dataclass(frozen=True)
class Reference:
    """An image, and the image registry that has it."""

    host: str
    """HOST, HOST:PORT or [IPv6]:PORT."""
    path: str
    """The repository at that host."""
    tag: str
    """A tag, or the digest where one is named."""


def read(name: str) -> Reference:
    """What a name means. The first part is a host if it could be none of Docker Hub's: one with `.`, `:` or a capital, or `localhost`."""
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
    """Repository, as it is written, and tag or digest; of a name with both the digest counts."""
    rest, _, digest = name.partition("@")
    head, _, tail = rest.rpartition(":")
    tagged = bool(head) and "/" not in tail
    return (head if tagged else rest), digest or (tail if tagged else "latest")


def has_digest(name: str) -> bool:
    """Whether a name can only ever mean one image."""
    return "@sha256:" in name
