"""The file server: uploads appear whole or not at all, and nothing leaves its folder."""

from __future__ import annotations

import http.client
import itertools
import os
import resource
import socket
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import requests
from support.events import OwnServer, wait_for
from support.server import LocalServer


def upload(server: LocalServer, name: str, content: bytes) -> requests.Response:
    return requests.post(server.files_url, files={name: (name, content)}, auth=server.keys, timeout=60)


def download(server: LocalServer, name: str, **headers: str) -> requests.Response:
    return requests.get(f"{server.files_url}/{quote(name)}", auth=server.keys, headers=headers, timeout=60)


def stored(server: LocalServer) -> set[str]:
    """All files below the data folder that an upload could have made, half ones included."""
    folders = [server.data / "files", server.data / "arriving"]
    return {str(path.relative_to(server.data)) for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["/a/plain.txt", '/with space/ümläut & "quotes" 100%.bin', "/deep/" + "x" * 200 + "/y"])
def test_what_was_uploaded_comes_back(server: LocalServer, name: str) -> None:
    content = os.urandom(3 * 2**20)
    assert upload(server, name, content).status_code == 200
    assert download(server, name.lstrip("/")).content == content
    assert requests.head(f"{server.files_url}{quote(name)}", auth=server.keys, timeout=10).headers["Content-Length"] == str(len(content))


def test_a_second_upload_replaces(server: LocalServer) -> None:
    upload(server, "/twice", b"old")
    upload(server, "/twice", b"new")
    assert download(server, "twice").content == b"new"


def test_parts_of_a_file(server: LocalServer) -> None:
    upload(server, "/parts", b"0123456789")
    answer = download(server, "parts", Range="bytes=2-4")
    assert (answer.status_code, answer.content, answer.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")
    assert download(server, "parts", Range="bytes=99-").status_code == 416


def test_deleting(server: LocalServer) -> None:
    upload(server, "/gone", b"x")
    assert requests.delete(f"{server.files_url}/gone", auth=server.keys, timeout=10).status_code == 200
    assert download(server, "gone").status_code == 404
    assert requests.delete(f"{server.files_url}/gone", auth=server.keys, timeout=10).status_code == 404


@pytest.mark.parametrize("name", ["/../escaped", "/a/../../escaped", "..", "/a/./b", "/a\\..\\b", "/" + "x" * 300, "", "/"])
def test_a_name_that_leads_elsewhere_is_refused(server: LocalServer, name: str) -> None:
    before = stored(server)
    assert upload(server, name, b"x").status_code == 400
    assert stored(server) == before
    assert not list(server.data.parent.rglob("escaped"))


@pytest.mark.parametrize(
    "path", ["/files/../keys.json", "/files/%2e%2e/keys.json", "/files/..%2fkeys.json", "/files//../server.db", "/files/a/%00"]
)
def test_reading_outside_the_folder_is_refused(server: LocalServer, path: str) -> None:
    """Sent as it stands: clients tidy such paths up before they send them."""
    token = server.call("auth.login")["token"]
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status in (400, 404)
    assert server.keys[1] not in text


def test_a_file_and_a_folder_cannot_share_a_name(server: LocalServer) -> None:
    upload(server, "/taken", b"x")
    assert upload(server, "/taken/below", b"y").status_code == 400
    upload(server, "/folder/file", b"x")
    assert upload(server, "/folder", b"y").status_code == 400
    assert download(server, "taken").content == b"x"


def test_an_upload_that_is_cut_off_leaves_no_file(own_server: OwnServer) -> None:
    server = own_server()
    token = server.call("auth.login")["token"]
    body = b'--cut\r\nContent-Disposition: form-data; name="/half"; filename="/half"\r\n\r\n' + b"x" * 2_000_000
    head = f"POST /files HTTP/1.1\r\nHost: {urlsplit(server.url).netloc}\r\nAuthorization: Bearer {token}\r\n"
    head += f"Content-Type: multipart/form-data; boundary=cut\r\nContent-Length: {len(body) + 1000}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0)) as connection:
        connection.sendall(head.encode() + body)
        wait_for(lambda: stored(server))  # it has begun to arrive
    wait_for(lambda: not stored(server))
    assert download(server, "half").status_code == 404


def test_an_upload_without_its_end_is_refused(server: LocalServer) -> None:
    body = b'--cut\r\nContent-Disposition: form-data; name="/half"; filename="/half"\r\n\r\nxxxx'
    headers = {"Content-Type": "multipart/form-data; boundary=cut"}
    answer = requests.post(server.files_url, data=body, headers=headers, auth=server.keys, timeout=10)
    assert (answer.status_code, answer.text) == (400, "the upload was cut off")
    assert download(server, "half").status_code == 404


def test_a_kill_in_the_middle_of_an_upload_leaves_no_file(own_server: OwnServer) -> None:
    server = own_server()
    upload(server, "/whole", b"kept")
    reader, writer = os.pipe()

    def send() -> None:
        begin = b'--cut\r\nContent-Disposition: form-data; name="/half"; filename="/half"\r\n\r\n'
        headers = {"Content-Type": "multipart/form-data; boundary=cut"}
        with os.fdopen(reader, "rb") as source, suppress(requests.ConnectionError):
            parts = itertools.chain([begin], iter(lambda: source.read(65536), b""))
            requests.post(server.files_url, data=parts, headers=headers, auth=server.keys, timeout=30)

    sender = threading.Thread(target=send)
    sender.start()
    with os.fdopen(writer, "wb") as pipe:
        pipe.write(b"x" * 3_000_000)
        wait_for(lambda: len(stored(server)) == 2)
        server.kill()
    sender.join()
    server.start()
    assert stored(server) == {"files/whole"}
    assert download(server, "whole").content == b"kept"


def test_a_full_disk_is_told_and_the_server_goes_on(own_server: OwnServer) -> None:
    server = own_server()
    upload(server, "/before", b"kept")
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    answer = upload(server, "/too big", b"x" * 3_000_000)
    assert answer.status_code == 507
    assert "could not store" in answer.text
    assert stored(server) == {"files/before"}
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert upload(server, "/after", b"x" * 3_000_000).status_code == 200


def test_a_run_cannot_put_scripts_on_the_pages_site(server: LocalServer) -> None:
    for name in ("/x.html", "/x.svg", "/x.js"):
        upload(server, name, b"<script>alert(1)</script>")
        headers = download(server, name.lstrip("/")).headers
        assert headers["Content-Disposition"].startswith("attachment")
        assert headers["Content-Security-Policy"].startswith("sandbox;")
        assert headers["X-Content-Type-Options"] == "nosniff"
    upload(server, "/x.png", b"...")
    assert download(server, "x.png").headers["Content-Disposition"].startswith("inline")


def test_a_large_upload_is_not_held_in_memory(own_server: OwnServer, tmp_path: Path) -> None:
    server = own_server()

    def peak() -> int:
        status = Path(f"/proc/{server.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))

    before = peak()
    source = tmp_path / "large"
    with source.open("wb") as handle:
        handle.truncate(200 * 2**20)

    def parts() -> object:
        yield b'--big\r\nContent-Disposition: form-data; name="/large"; filename="/large"\r\n\r\n'
        with source.open("rb") as handle:
            yield from iter(lambda: handle.read(2**20), b"")
        yield b"\r\n--big--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=big"}
    assert requests.post(server.files_url, data=parts(), headers=headers, auth=server.keys, timeout=60).ok
    with requests.get(f"{server.files_url}/large", auth=server.keys, stream=True, timeout=60) as answer:
        assert sum(len(part) for part in answer.iter_content(2**20)) == 200 * 2**20
    assert peak() - before < 50 * 1024
