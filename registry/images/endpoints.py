"""How to reach an image registry: in the same way as the engine of this machine.

TLS is tried first, with the CAs of the system and of /etc/docker/certs.d/HOST:PORT (*.crt; client certificates in *.cert and *.key).
For hosts that the engine considers insecure, which are loopback and its `insecure-registries`, the certificate is not checked, and
plain HTTP is tried next. If no engine answers, daemon.json is read instead.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from ..errors import StoreError
from .engine import docker
from .reference import HUB

CERTIFICATES = Path("/etc/docker/certs.d")
DAEMON = Path("/etc/docker/daemon.json")
HUB_ADDRESS = "registry-1.docker.io"
LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True)
class Endpoint:
    """An address of an image registry, and how to connect to it."""

    url: str
    """https://HOST or http://HOST."""
    context: ssl.SSLContext | None = None
    """None: plain HTTP."""

    def prepare(self, session: requests.Session) -> None:
        """Configure a session for this endpoint."""
        if self.context:
            session.verify = self.context.verify_mode != ssl.CERT_NONE
            session.mount("https://", TLSAdapter(self.context))


class TLSAdapter(HTTPAdapter):
    """Connections with their own TLS context."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=self.context, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self.context, **options)


def endpoints(host: str) -> Iterator[Endpoint]:
    """The endpoints of a host, in the order in which the engine tries them. Later ones are determined only when needed.

    Raises:
        StoreError: a certificate cannot be read.
    """
    if host == HUB:
        yield Endpoint(f"https://{HUB_ADDRESS}", verified(host))
        return
    here = is_loopback(host)
    if not here:
        yield Endpoint(f"https://{host}", verified(host))
    if here or is_insecure(host):
        yield Endpoint(f"https://{host}", unverified())
        yield Endpoint(f"http://{host}")


def verified(host: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the default since Python 3.13, which rejects CAs that the engine accepts
    folder = certificate_folder(host)
    try:
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        for file in files:
            read_certificates(context, file)
    except (OSError, ssl.SSLError) as error:
        raise StoreError(f"certificates for {host}: {folder}: {error}") from error
    return context


def read_certificates(context: ssl.SSLContext, file: Path) -> None:
    partner = {".cert": file.with_suffix(".key"), ".key": file.with_suffix(".cert")}.get(file.suffix)
    if partner and not partner.exists():
        raise FileNotFoundError(f"{file.name} requires {partner.name} next to it")
    if file.suffix == ".crt":
        context.load_verify_locations(file)
    elif file.suffix == ".cert":
        context.load_cert_chain(file, partner)


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def certificate_folder(host: str) -> Path:
    """The folder in which the engine looks for a host's certificates. A rootless engine looks in its user's settings."""
    own = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "docker", "certs.d", host)
    return own if own.is_dir() and is_rootless() else CERTIFICATES / host


def is_loopback(host: str) -> bool:
    """Whether engines consider a host to be this machine."""
    name = name_of(host)
    try:
        return ipaddress.ip_address(name) in ipaddress.ip_network(LOOPBACK[0])
    except ValueError:
        return name == "localhost"


def is_insecure(host: str) -> bool:
    """Whether the engine allows connections to a host without checked TLS, by its name or by one of its addresses."""
    stated = registry_settings()
    names: Mapping[str, Any] = stated["IndexConfigs"]
    if host in names:
        return not names[host].get("Secure", True)
    networks = [ipaddress.ip_network(network, strict=False) for network in stated["InsecureRegistryCIDRs"]]
    return any(address in network for address in addresses(name_of(host)) for network in networks)


def name_of(host: str) -> str:
    """A host without its port."""
    return re.sub(r":\d+$", "", host).strip("[]")


def addresses(name: str) -> Sequence[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in socket.getaddrinfo(name, None)]
    except OSError:
        return []


def registry_settings() -> Mapping[str, Any]:
    """The engine's settings for image registries: its `RegistryConfig`."""
    stated = engine_information().get("RegistryConfig") or {}
    if stated.get("IndexConfigs"):
        return {"IndexConfigs": stated["IndexConfigs"], "InsecureRegistryCIDRs": stated.get("InsecureRegistryCIDRs") or []}
    try:
        listed = json.loads(DAEMON.read_text()).get("insecure-registries") or []
    except (OSError, ValueError, AttributeError):
        listed = []
    networks = [entry for entry in listed if is_network(entry)]
    return {
        "IndexConfigs": {entry: {"Secure": False} for entry in listed if entry not in networks},
        "InsecureRegistryCIDRs": [*networks, *LOOPBACK],
    }


def is_network(entry: str) -> bool:
    try:
        return "/" in entry and bool(ipaddress.ip_network(entry, strict=False))
    except ValueError:
        return False


def is_rootless() -> bool:
    return any("rootless" in option for option in engine_information().get("SecurityOptions") or [])


def engine_information() -> Mapping[str, Any]:
    """The output of `docker info`; empty if there is no docker command or no engine."""
    if shutil.which("docker") is None:
        return {}
    try:
        stated = json.loads(docker("info", "--format", "{{json .}}").stdout)
    except ValueError:
        return {}
    return stated if isinstance(stated, dict) else {}
