"""An address of this machine that is neither loopback's nor reached from outside, for what engines do with loopback alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from .namespaces import ip


@contextlib.contextmanager
def own_address() -> Iterator[str]:
    """One of the addresses that RFC 2544 sets aside for tests, on the loopback interface. Needs root and iproute2."""
    address = f"198.19.{os.getpid() % 250}.1"
    ip("address", "add", f"{address}/32", "dev", "lo")
    try:
        yield address
    finally:
        ip("address", "del", f"{address}/32", "dev", "lo")
