"""Addresses, interfaces and ports of this machine, found with sockets."""

from __future__ import annotations

import fcntl
import socket
import struct
import time
from urllib.parse import urlsplit

from .errors import LaunchError

ADDRESS_OF_INTERFACE = 0x8915
"""Linux's request SIOCGIFADDR, see netdevice(7)."""
RETRY = 1.0
"""Seconds between two attempts to reach a port."""


def address_towards(place: str) -> str:
    """This machine's source address for packets to `place`, a host or a URL. No packet is sent."""
    host = (urlsplit(place).hostname if "//" in place else place) or place
    family, kind, protocol, _, where = socket.getaddrinfo(host, 80, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(where)
        return str(probe.getsockname()[0])


def interface_towards(place: str) -> str | None:
    """The name of the interface that leads to `place`, or None if it has no IPv4 address."""
    try:
        wanted = socket.inet_aton(address_towards(place))
    except OSError:
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(any_socket, ADDRESS_OF_INTERFACE, struct.pack("256s", name.encode()))
            except OSError:  # it has no address
                continue
            if answer[20:24] == wanted:
                return name
    return None


def held_port() -> socket.socket:
    """A free port, reserved while the socket is open: the system gives it to nobody else, but a process can listen on it by its number."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("", 0))
    return held


def wait_until_open(host: str, port: int, within: float) -> None:
    """Wait until something listens on this port.

    Raises:
        LaunchError: nothing does within `within` seconds.
    """
    deadline = time.monotonic() + within
    while True:
        try:
            with socket.create_connection((host, port), timeout=RETRY):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise LaunchError(
                    f"node 0 could not be reached at {host} port {port} within {within:.0f} s ({error}); in the environment of its agent, "
                    "set MASTER_ADDR to an address that the other machines can reach and MASTER_PORT to an open port; containers need "
                    "--network=host"
                ) from error
        time.sleep(RETRY)
