"""Addresses, interfaces and ports of this machine, as its sockets tell them."""

from __future__ import annotations

import fcntl
import socket
import struct
import time
from urllib.parse import urlsplit

from .errors import LaunchError

ADDRESS_OF_INTERFACE = 0x8915
"""The request SIOCGIFADDR of Linux, netdevice(7)."""
RETRY = 1.0
"""Seconds between two attempts to reach a port."""


def address_towards(place: str) -> str:
    """The address of this machine that packets to `place`, a host or a URL, bear. None is sent."""
    host = (urlsplit(place).hostname if "//" in place else place) or place
    family, kind, protocol, _, where = socket.getaddrinfo(host, 80, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(where)
        return str(probe.getsockname()[0])


def interface_towards(place: str) -> str | None:
    """The name of the interface that leads to `place`, or None where it has no IPv4 address."""
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
    """A free port that nobody is given while the socket is open; who asks for it by its number can listen there."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("", 0))
    return held


def wait_until_open(host: str, port: int, within: float) -> None:
    """Wait until something listens there.

    Raises:
        LaunchError: nothing does `within` that many seconds.
    """
    deadline = time.monotonic() + within
    while True:
        try:
            with socket.create_connection((host, port), timeout=RETRY):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise LaunchError(
                    f"node 0 is not reached at {host} port {port} within {within:.0f} s ({error}); let MASTER_ADDR in the environment of "
                    "its agent be an address that the other machines reach, MASTER_PORT an open port; containers need --network=host"
                ) from error
        time.sleep(RETRY)
