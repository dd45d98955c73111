"""The server process: its data folder, its port, and the files by which clients find it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from . import leases, queues
from .app import application, log
from .auth import SERVER_VERSION, Guard, Keys, write_private
from .connections import WAITING, Server, allow_many_files
from .errors import StartError
from .files import FileServer
from .page import routes
from .store import Store
from .watch import Limits, Patience, look

HOST = "127.0.0.1"
PATIENT = Limits()


def serve(folder: Path, port: int, *, limits: Limits = PATIENT, around: Sequence[Middleware] = ()) -> None:
    """Run the server on `folder` until SIGTERM or SIGINT. Port 0 picks a free one.

    Raises:
        StartError: the folder is in use, of a newer version or not writable; the port is taken; the disk is full.
    """
    os.umask(0o077)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(folder):
            _serve(folder, port, limits, around)
    except OSError as error:
        raise StartError(f"cannot use {folder}: {error.strerror or error}") from error


def _serve(folder: Path, port: int, limits: Limits, around: Sequence[Middleware]) -> None:
    keys = Keys.of(folder)
    store = Store(folder / "server.db")
    store.write(queues.get_default).result()  # as on ClearML's server
    store.write(leases.resume).result()
    listener = _listen(port)
    port = listener.getsockname()[1]
    guard = Guard(keys, port)
    app = application(store, guard, FileServer(folder, guard), routes(guard), list(around))
    app.router.lifespan_context = _lifespan(folder, port, keys, store, limits)
    allow_many_files()
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="on", server_header=False, timeout_graceful_shutdown=5)
    server = Server(config)
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn shuts down, and then raises the signal again
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])
    store.close()


def _listen(port: int) -> socket.socket:
    # With the protocol given as TCP, asyncio sets TCP_NODELAY; otherwise a body waits 40 ms until the client acknowledges the head.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(WAITING)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise StartError(f"port {port} of {HOST} is taken by another program; choose another with --port") from error
        raise StartError(f"cannot listen on {HOST}:{port}: {error.strerror}") from error
    return listener


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Allow one server per data folder. The lock is released with the process, however that ends."""
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(f"{folder} is in use by another server") from None
        yield


def _lifespan(
    folder: Path, port: int, keys: Keys, store: Store, limits: Limits
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        watcher = asyncio.create_task(_watch(store, limits))
        announced = folder / "server.json"
        _announce(folder, port, keys)
        try:
            yield
        finally:
            announced.unlink(missing_ok=True)
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher

    return lifespan


async def _watch(store: Store, limits: Limits) -> None:
    patience = Patience()
    while True:
        await asyncio.sleep(limits.period)
        listened = patience.listened()
        try:
            said = await asyncio.wrap_future(store.write(partial(look, limits=limits, listened=listened)))
        except Exception:  # noqa: BLE001  whatever it is, the next check must take place
            log.exception("the check of tasks failed")
        else:
            for line in said:
                log.warning(line)


def _announce(folder: Path, port: int, keys: Keys) -> None:
    """Write clearml.conf, which configures clients for this server, and then server.json, which says that it is ready."""
    url = f"http://{HOST}:{port}"
    write_private(folder / "clearml.conf", configuration(url, keys))
    facts = {
        "pid": os.getpid(),
        "url": url,
        "files_url": f"{url}/files",
        "version": SERVER_VERSION,
        "login_url": f"{url}/login?key={keys.page_key}",
    }
    write_private(folder / "server.json", json.dumps(facts, indent=1) + "\n")


def configuration(url: str, keys: Keys) -> str:
    """A clearml.conf for this server. Written anew at each start, as the port may change; the keys stay."""
    return f"""# How the ClearML SDK, clearml-task and clearml-agent reach this machine's embedded server. The keys below are secrets.
api {{
  api_server: "{url}"
  web_server: "{url}"
  files_server: "{url}/files"
  credentials {{
    access_key: "{keys.access_key}"
    secret_key: "{keys.secret_key}"
  }}
}}
# The SDK's reporting process waits up to 5 s at every flush and at the exit; a thread does not.
sdk {{ development {{ report_use_subprocess: false }} }}
"""
