"""The names and passwords that `docker login` left, found where the docker command finds them.

They stand in config.json below $DOCKER_CONFIG or ~/.docker, with credential helpers, or in $DOCKER_AUTH_CONFIG.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import StoreError
from .reference import HUB

HUB_KEY = "https://index.docker.io/v1/"
IDENTITY = "<token>"
"""What a credential helper calls the owner of a token that stands for name and password."""
PATIENCE = 30  # seconds that a credential helper has


@dataclass(frozen=True)
class Login:
    """A name and a password, or a token in their place."""

    name: str
    secret: str
    source: str
    """Where it was found, for messages."""

    @property
    def is_identity(self) -> bool:
        """Whether the secret is a token that others are exchanged for."""
        return self.name == IDENTITY


def login_of(host: str) -> Login | None:
    """The login at an image registry, or None.

    Raises:
        StoreError: config.json cannot be read, or a credential helper fails.
    """
    key = HUB_KEY if host == HUB else host
    given = os.environ.get("DOCKER_AUTH_CONFIG")
    if given and (found := entry_of(parsed(given, "DOCKER_AUTH_CONFIG"), key)):
        return login_in(found, "DOCKER_AUTH_CONFIG")
    file = configuration_file()
    if not file.exists():
        return None
    try:
        settings = parsed(file.read_text(), str(file))
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}") from error
    helper = (settings.get("credHelpers") or {}).get(key) or settings.get("credsStore")
    return helped(helper, key, file) if helper else login_in(entry_of(settings, key), str(file))


def configuration_file() -> Path:
    folder = os.environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path.home() / ".docker") / "config.json"


def parsed(text: str, source: str) -> dict[str, Any]:
    try:
        settings = json.loads(text or "{}")
    except ValueError as error:
        raise StoreError(f"{source} is no JSON: {error}") from error
    if not isinstance(settings, dict):
        raise StoreError(f"{source} is no JSON object")
    return settings


def entry_of(settings: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The entry of a host, which older versions wrote as an address: https://HOST/v1/."""
    entries: Mapping[str, Any] = settings.get("auths") or {}
    found = entries.get(key) or next((entry for name, entry in entries.items() if key in {name, host_in(name)}), None)
    return found or {}


def host_in(address: str) -> str:
    return urlsplit(address).netloc if "://" in address else address.partition("/")[0]


def login_in(entry: Mapping[str, Any], source: str) -> Login | None:
    if entry.get("identitytoken"):
        return Login(IDENTITY, entry["identitytoken"], source)
    try:
        name, _, secret = base64.b64decode(entry.get("auth") or "", validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, TypeError) as error:
        raise StoreError(f"{source} holds an entry that is no name and password: docker login anew") from error
    return Login(name, secret.strip("\0"), source) if name else None


def helped(helper: str, key: str, file: Path) -> Login | None:
    """Ask a credential helper by its protocol: the program `docker-credential-NAME get` takes the key and answers with JSON."""
    program = f"docker-credential-{helper}"
    if shutil.which(program) is None:
        raise StoreError(f"the credential helper {program}, which {file} names, is not on the path")
    try:
        done = subprocess.run([program, "get"], input=key, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreError(f"the credential helper {program} fails: {error}") from error
    told = (done.stdout.strip() or done.stderr.strip()).partition("\n")[0]
    if done.returncode:
        if "credentials not found" in told:
            return None
        raise StoreError(f"the credential helper {program} fails: {told or f'exit code {done.returncode}'}")
    try:
        answer = json.loads(done.stdout)
        return Login(answer["Username"], answer["Secret"], program)
    except (ValueError, KeyError, TypeError) as error:  # its answer holds a secret, and is not repeated
        raise StoreError(f"the credential helper {program} answers with something else than a login") from error
