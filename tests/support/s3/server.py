"""OpenStack Swift with its S3 API, all of it in one process: `python server.py FOLDER`, with accounts as JSON on standard input.

The four servers of Swift (proxy, account, container, object) each listen on a free port of the loopback interface; the proxy's is printed.
An account is a user's name (`team:person`, the access key), a secret key, and the groups that it is in (`.admin` may do everything).
"""

from __future__ import annotations

import array
import json
import socket
import sys
from pathlib import Path

import eventlet

eventlet.monkey_patch()

from eventlet import wsgi  # noqa: E402  sockets come first
from swift.common import utils  # noqa: E402
from swift.common.ring import RingData  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

HOST = "127.0.0.1"
KINDS = ("account", "container", "object")
SHIFT = 31
"""Of a ring of two partitions, both on the one disk."""
STORAGE = """\
[DEFAULT]
swift_dir = {folder}
devices = {folder}
mount_check = false
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
PROXY = """\
[DEFAULT]
swift_dir = {folder}
[pipeline:main]
pipeline = catch_errors listing_formats s3api tempauth bulk slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
[filter:tempauth]
use = egg:swift#tempauth
"""


def ring(folder: Path, kind: str, port: int) -> None:
    """Tell the proxy where the servers of a kind are."""
    place = {"ip": HOST, "port": port, "replication_ip": HOST, "replication_port": port}
    device = {"id": 0, "region": 1, "zone": 1, "weight": 1.0, "device": "disk", "meta": "", **place}
    RingData([array.array("H", [0, 0])], [device], SHIFT).save(str(folder / f"{kind}.ring.gz"))


def configure(folder: Path, accounts: list[list[str]], ports: dict[str, int]) -> None:
    (folder / "disk").mkdir(parents=True, exist_ok=True)
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = tests\n")
    utils.SWIFT_CONF_FILE = str(folder / "swift.conf")
    utils.HASH_PATH_SUFFIX = b"tests"
    for kind in KINDS:
        ring(folder, kind, ports[kind])
        (folder / f"{kind}.conf").write_text(STORAGE.format(folder=folder, kind=kind))
    users = [f"user_{name.replace(':', '_')} = {' '.join([secret, *groups])}\n" for name, secret, *groups in accounts]
    (folder / "proxy.conf").write_text(PROXY.format(folder=folder) + "".join(users))


def main() -> None:
    folder = Path(sys.argv[1])
    sockets: dict[str, socket.socket] = {kind: eventlet.listen((HOST, 0)) for kind in (*KINDS, "proxy")}
    configure(folder, json.load(sys.stdin), {kind: found.getsockname()[1] for kind, found in sockets.items()})
    applications = {kind: loadapp(str(folder / f"{kind}.conf")) for kind in sockets}
    pool = eventlet.GreenPool()
    for kind, found in sockets.items():
        pool.spawn_n(wsgi.server, found, applications[kind], (folder / f"{kind}.log").open("a"))
    print(sockets["proxy"].getsockname()[1], flush=True)
    pool.waitall()


if __name__ == "__main__":
    main()
