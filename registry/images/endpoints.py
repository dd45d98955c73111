"""How an image registry is reached: as the engine of this machine reaches it.

TLS comes first, with the CAs of the system and those of /etc/docker/certs.d/HOST:PORT (*.crt; a client's certificate in *.cert and *.key).
What the engine counts as insecure is spoken to without checking its certificate, else in plain HTTP: loopback, and its
`insecure-registries`. Where no engine answers, daemon.json is asked instead.
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
    """A way to an image registry."""

    url: str
    """https://HOST or http://HOST."""
    context: ssl.SSLContext | None = None
    """None: plain HTTP."""

    def prepare(self, session: requests.Session) -> None:
        """Let a session speak TLS that way."""
        if self.context:
            session.verify = self.context.verify_mode != ssl.CERT_NONE
            session.mount("https://", TLSAdapter(self.context))


class TLSAdapter(HTTPAdapter):
    """Connections with a TLS context of their own."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=self.context, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self.context, **options)


def endpoints(host: str) -> Iterator[Endpoint]:
    """The ways to a host, in the engine's order; the later ones are found out about when they are asked for.

    Raises:
        StoreError: certificates that cannot be read.
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
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13 sets it, and refuses CAs that the engine takes
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
        raise FileNotFoundError(f"{file.name} needs {partner.name} beside it")
    if file.suffix == ".crt":
        context.load_verify_locations(file)
    elif file.suffix == ".cert":
        context.load_cert_chain(file, partner)


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def certificate_folder(host: str) -> Path:
    """Where the engine looks for a host's certificates; one without root's rights looks below its user's settings."""
    own = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "docker", "certs.d", host)
    return own if own.is_dir() and is_rootless() else CERTIFICATES / host


def is_loopback(host: str) -> bool:
    """Whether every engine counts a host as on this machine."""
    name = name_of(host)
    try:
        return ipaddress.ip_address(name) in ipaddress.ip_network(LOOPBACK[0])
    except ValueError:
        return name == "localhost"


def is_insecure(host: str) -> bool:
    """Whether the engine does without TLS, or without checking it: by name, or by one of the addresses that the name has."""
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
    """What the engine says about registries: its `RegistryConfig`."""
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
    """What `docker info` tells; nothing where there is no docker command or no engine."""
    if shutil.which("docker") is None:
        return {}
    try:
        stated = json.loads(docker("info", "--format", "{{json .}}").stdout)
    except ValueError:
        return {}
    return stated if isinstance(stated, dict) else {}
