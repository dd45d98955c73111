"""The line between a client and a server, which can be cut while bytes are under way."""

from __future__ import annotations

import contextlib
import socket
import threading


class Line:
    """Passes on what goes to and from a server, on a port of its own.

    Attributes:
        cuts: how many of the next connections break off.
        after: bytes that each of these passes on, in both directions together, before it does.
        silent: connections are taken, and then nothing is ever said.
        broken: how many have broken off.
    """

    def __init__(self, host: str) -> None:
        name, _, port = host.partition(":")
        self.server = (name, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.url = f"http://{self.host}"
        self.cuts, self.after, self.silent, self.broken = 0, 0, False, 0
        self.lock = threading.Lock()
        self.held: list[socket.socket] = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self.listener.accept()
                self.held.append(client)
                if not self.silent:
                    Connection(self, client)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for client in self.held:
            client.close()


class Connection:
    """One connection on the line, a thread for each direction."""

    def __init__(self, line: Line, client: socket.socket) -> None:
        self.line, self.passed, self.cut = line, 0, False
        self.ends = (client, socket.create_connection(line.server))
        for source, target in (self.ends, self.ends[::-1]):
            threading.Thread(target=self.carry, args=(source, target), daemon=True).start()

    def carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(16384):
                if self.breaks(len(piece)):
                    break
                target.sendall(piece)
        for end in self.ends:  # wakes the other direction, which closes its own source
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()

    def breaks(self, size: int) -> bool:
        with self.line.lock:
            self.passed += size
            if self.cut or self.line.cuts == 0 or self.passed <= self.line.after:
                return False
            self.cut = True
            self.line.cuts -= 1
            self.line.broken += 1
            return True
