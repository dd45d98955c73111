"""Machines on this machine: network namespaces with addresses of their own, joined by a bridge. Needs root and iproute2."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence

from .events import wait_for

CLONE_NEWNET = 0x40000000


def why_not() -> str:
    """What keeps this machine from having others in it, or nothing."""
    if os.geteuid() != 0:
        return "network namespaces are root's"
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    probe = f"probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode:
        return f"no network namespace can be made: {made.stderr.strip()}"
    ip("netns", "del", probe)
    return ""


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


class Network:
    """Namespaces that reach each other, and this machine's server on `port` at their own loopback."""

    def __init__(self, count: int, port: int) -> None:
        number = os.getpid() % 250
        self.bridge = f"nodes{number}"
        self.addresses = {f"{self.bridge}-{host}": f"198.18.{number}.{host}" for host in range(1, count + 1)}  # of RFC 2544, for tests
        self.made: list[Sequence[str]] = []
        self.relay: Relay | None = None
        try:
            self.make("link", self.bridge, "add", self.bridge, "type", "bridge")
            ip("link", "set", self.bridge, "up")
            for namespace, address in self.addresses.items():
                self.join(namespace, address)
            self.relay = Relay([listening_in(namespace, port) for namespace in self.addresses], port)
        except BaseException:
            self.close()
            raise

    def make(self, kind: str, name: str, *arguments: str) -> None:
        ip(kind, *arguments)
        self.made.append((kind, "del", name))

    def join(self, namespace: str, address: str) -> None:
        """A namespace with a cable to the bridge."""
        self.make("netns", namespace, "add", namespace)
        plug = f"{namespace}v"
        ip("link", "add", plug, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        ip("link", "set", plug, "master", self.bridge, "up")
        ip("-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
        for interface in ("lo", "eth0"):
            ip("-n", namespace, "link", "set", interface, "up")

    def inside(self, namespace: str) -> list[str]:
        """What to put before a command."""
        return ["ip", "netns", "exec", namespace]

    def processes(self, namespace: str) -> list[int]:
        return [int(pid) for pid in ip("netns", "pids", namespace).split()]

    def cut(self, namespace: str) -> None:
        """Kill all that runs on a machine."""
        for pid in self.processes(namespace):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it went with another

    def close(self) -> None:
        for namespace in self.addresses:
            if ("netns", "del", namespace) in self.made:
                wait_for(lambda namespace=namespace: not (self.cut(namespace) or self.processes(namespace)))
        if self.relay:
            self.relay.close()
        for arguments in reversed(self.made):
            ip(*arguments)


def listening_in(namespace: str, port: int) -> socket.socket:
    """A socket on the loopback of a namespace. A thread enters it, for a process cannot be in two."""
    made: list[socket.socket] = []

    def enter() -> None:
        with open(f"/run/netns/{namespace}", "rb") as place:
            if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        made.append(socket.create_server(("127.0.0.1", port)))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return made[0]


class Relay:
    """Passes on what arrives at sockets to a port of this machine's loopback: the server listens there alone."""

    def __init__(self, sockets: Sequence[socket.socket], port: int) -> None:
        self.sockets, self.port = sockets, port
        self.loop = asyncio.new_event_loop()
        self.over = asyncio.Event()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=[self.serve()])
        self.thread.start()

    async def serve(self) -> None:
        servers = [await asyncio.start_server(self.connected, sock=each) for each in self.sockets]
        await self.over.wait()
        for server in servers:
            server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        further, back = await asyncio.open_connection("127.0.0.1", self.port)
        await asyncio.gather(passed(reader, back), passed(further, writer))

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join()
        self.loop.close()


async def passed(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy until the source ends."""
    try:
        while part := await source.read(65536):
            target.write(part)
            await target.drain()
    except ConnectionError:
        pass  # a machine that was cut off
    finally:
        target.close()
