"""Logins at image registries, as `docker login` has stored them.

They are in $DOCKER_AUTH_CONFIG, or in config.json below $DOCKER_CONFIG or ~/.docker, or in a credential helper that this file names.
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
"""The user name with which a credential helper marks an identity token."""
PATIENCE = 30  # seconds that a credential helper may take


@dataclass(frozen=True)
class Login:
    """A user name and password, or an identity token."""

    name: str
    secret: str
    source: str
    """Where it was found, for messages."""

    @property
    def is_identity(self) -> bool:
        """Whether the secret is an identity token, with which access tokens are requested."""
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
        raise StoreError(f"{source} is not valid JSON: {error}") from error
    if not isinstance(settings, dict):
        raise StoreError(f"{source} is not a JSON object")
    return settings


def entry_of(settings: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The entry of a host. Older versions of Docker wrote it as a URL: https://HOST/v1/."""
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
        raise StoreError(f"{source} has an entry that is not a user name and password; run docker login again") from error
    return Login(name, secret.strip("\0"), source) if name else None


def helped(helper: str, key: str, file: Path) -> Login | None:
    """Ask a credential helper: the program `docker-credential-NAME get` reads the key from its input and prints JSON."""
    program = f"docker-credential-{helper}"
    if shutil.which(program) is None:
        raise StoreError(f"{file} names the credential helper {program}, which is not on the path")
    try:
        done = subprocess.run([program, "get"], input=key, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreError(f"the credential helper {program} failed: {error}") from error
    told = (done.stdout.strip() or done.stderr.strip()).partition("\n")[0]
    if done.returncode:
        if "credentials not found" in told:
            return None
        raise StoreError(f"the credential helper {program} failed: {told or f'exit code {done.returncode}'}")
    try:
        answer = json.loads(done.stdout)
        return Login(answer["Username"], answer["Secret"], program)
    except (ValueError, KeyError, TypeError) as error:  # the message does not repeat the answer, which may contain a secret
        raise StoreError(f"the credential helper {program} returned something other than a login") from error
