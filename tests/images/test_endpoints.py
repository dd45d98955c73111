"""Reaching image registries as the engine does: with TLS and the right CAs, without TLS, and the errors if neither works.

The rules are those of moby (registry/config.go, registry/registry.go, registry/service_v2.go); `docker info` is answered with what
Debian's docker 20.10.24 answered. tests/containers/test_registries.py shows the same with the engine itself.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from support.address import own_address
from support.certificates import Authority
from support.engine import free_port, image_registry
from support.images import Repository
from support.namespaces import why_not

from registry.errors import StoreError
from registry.images import endpoints
from registry.images.store import ImageStore

Information = Callable[..., None]


NO_ENGINE = {"ServerErrors": ["Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"]}


@pytest.fixture(autouse=True)
def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of /etc/docker/certs.d; there are no engine settings, and no engine answers."""
    answer(tmp_path, NO_ENGINE)
    monkeypatch.setattr(endpoints, "CERTIFICATES", tmp_path / "certs.d")
    monkeypatch.setattr(endpoints, "DAEMON", tmp_path / "daemon.json")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path / "certs.d"


@pytest.fixture
def information(tmp_path: Path) -> Information:
    """Makes a docker command that answers `docker info --format '{{json .}}'`."""

    def make(names: tuple[str, ...] = (), networks: tuple[str, ...] = (), options: tuple[str, ...] = ()) -> None:
        indices = {name: {"Name": name, "Mirrors": [], "Secure": False, "Official": False} for name in names}
        hub = {"docker.io": {"Name": "docker.io", "Mirrors": [], "Secure": True, "Official": True}}
        stated = {
            "RegistryConfig": {
                "AllowNondistributableArtifactsCIDRs": [],
                "AllowNondistributableArtifactsHostnames": [],
                "InsecureRegistryCIDRs": [*networks, "127.0.0.0/8"],
                "IndexConfigs": {**hub, **indices},
                "Mirrors": [],
            },
            "SecurityOptions": ["name=seccomp,profile=default", *options],
        }
        answer(tmp_path, stated)

    return make


def answer(folder: Path, stated: object) -> None:
    """Let a docker command answer `docker info --format '{{json .}}'`."""
    (folder / "info.json").write_text(json.dumps(stated))
    program = folder / "bin/docker"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n[ \"$*\" = 'info --format {{{{json .}}}}' ] && exec cat {folder}/info.json\n")
    program.chmod(0o755)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    if reason := why_not():
        pytest.skip(reason)
    with own_address() as found:
        yield found


@pytest.fixture(scope="module")
def plain(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry without TLS that is not on loopback, with an image `team/a:v1`."""
    folder, port = tmp_path_factory.mktemp("plain"), free_port()
    with image_registry(folder / "data", port, folder, address=address):
        Repository(f"{address}:{port}/team/a").image("v1", {})
        yield f"{address}:{port}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def private(address: str, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry whose certificate is signed by a private CA, with an image `team/a:v1`."""
    folder, port = tmp_path_factory.mktemp("private"), free_port()
    certificate, key = authority.sign("server", address)
    with image_registry(folder / "data", port, folder, address=address, http={"tls": {"certificate": str(certificate), "key": str(key)}}):
        Repository(f"{address}:{port}/team/a", "https", {"verify": str(authority.certificate)}).image("v1", {})
        yield f"{address}:{port}"


def has(host: str) -> bool:
    return ImageStore(f"{host}/team/a").find("v1") is not None


class TestWithoutTLS:
    def test_refused_if_the_engine_would_refuse_it(self, plain: str, information: Information) -> None:
        information()
        with pytest.raises(StoreError, match=rf'{plain} uses plain HTTP, .* add "{plain}" to insecure-registries in \S+daemon.json'):
            has(plain)

    def test_accepted_if_the_engine_lists_it_by_name(self, plain: str, information: Information) -> None:
        information(names=(plain,))
        assert has(plain)

    def test_accepted_if_the_engine_lists_its_network(self, plain: str, information: Information) -> None:
        information(networks=("198.19.0.0/16",))
        assert has(plain)

    @pytest.mark.parametrize("listed", ["{host}", "198.19.0.0/16"])
    def test_without_an_engine_its_settings_are_read(self, plain: str, tmp_path: Path, listed: str) -> None:
        (tmp_path / "daemon.json").write_text(json.dumps({"insecure-registries": [listed.format(host=plain)]}))
        assert has(plain)

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
    def test_accepted_on_this_machine(self, host: str, tmp_path: Path) -> None:
        port = free_port()
        with image_registry(tmp_path / "data", port, tmp_path, address=host):
            Repository(f"{host}:{port}/team/a").image("v1", {})
            assert has(f"{host}:{port}")

    def test_accepted_without_a_docker_command(self, plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "daemon.json").write_text(json.dumps({"insecure-registries": [plain]}))
        monkeypatch.setenv("PATH", str(tmp_path))
        assert has(plain)

    def test_a_name_is_resolved_to_its_addresses(self, information: Information, monkeypatch: pytest.MonkeyPatch) -> None:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("10.1.2.3", 0))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda name, port: found if name == "images.example.org" else [])
        information(networks=("10.1.0.0/16",))
        assert endpoints.is_insecure("images.example.org:5000")
        assert not endpoints.is_insecure("elsewhere.example.org:5000")
        information()
        assert not endpoints.is_insecure("images.example.org:5000")


class TestPrivateCA:
    def test_the_error_names_the_file_for_the_ca(self, private: str, certificates: Path) -> None:
        with pytest.raises(StoreError, match=f"{private} is not trusted .*; put its CA into {certificates}/{private}/ca.crt"):
            has(private)

    def test_accepted_if_the_engine_would_accept_it(self, private: str, certificates: Path, authority: Authority) -> None:
        (certificates / private).mkdir(parents=True)
        (certificates / private / "ca.crt").write_bytes(authority.certificate.read_bytes())
        assert has(private)

    def test_the_systems_cas_are_used_too(self, private: str, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variable is that of OpenSSL and of Go."""
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        assert has(private)

    def test_a_rootless_engine_reads_its_users_folder(
        self, private: str, certificates: Path, authority: Authority, information: Information, tmp_path: Path
    ) -> None:
        own = tmp_path / "home/.config/docker/certs.d" / private
        own.mkdir(parents=True)
        (own / "ca.crt").write_bytes(authority.certificate.read_bytes())
        information()
        with pytest.raises(StoreError, match=f"put its CA into {certificates}"):
            has(private)
        information(options=("name=rootless",))
        assert has(private)

    def test_not_verified_if_the_engine_considers_it_insecure(self, private: str, information: Information) -> None:
        information(names=(private,))
        assert has(private)

    def test_a_client_certificate_is_sent(self, address: str, authority: Authority, certificates: Path, tmp_path: Path) -> None:
        port = free_port()
        host, folder = f"{address}:{port}", certificates / f"{address}:{port}"
        certificate, key = authority.sign("server", address)
        tls = {"certificate": str(certificate), "key": str(key), "clientcas": [str(authority.certificate)]}
        own, own_key = authority.sign("client")
        with image_registry(tmp_path / "data", port, tmp_path, address=address, http={"tls": tls}):
            options = {"verify": str(authority.certificate), "cert": (str(own), str(own_key))}
            Repository(f"{host}/team/a", "https", options).image("v1", {})
            folder.mkdir(parents=True)
            (folder / "ca.crt").write_bytes(authority.certificate.read_bytes())
            with pytest.raises(StoreError, match=f"requires a client certificate; put client.cert and client.key into {folder}"):
                has(host)
            (folder / "client.cert").write_bytes(own.read_bytes())
            with pytest.raises(StoreError, match=r"client\.cert requires client\.key next to it"):
                has(host)
            (folder / "client.key").write_bytes(own_key.read_bytes())
            assert has(host)


class TestNoRegistry:
    @pytest.fixture
    def page(self) -> Iterator[Callable[[int], str]]:
        """A web server that answers every request with a page."""
        status = [200]

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status[0])
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<html>Welcome</html>")

            def log_message(self, *arguments: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def answering(code: int) -> str:
            status[0] = code
            return f"127.0.0.1:{server.server_port}"

        yield answering
        server.shutdown()
        thread.join()
        server.server_close()

    def test_a_web_server_is_not_a_registry(self, page: Callable[[int], str]) -> None:
        host = page(404)
        with pytest.raises(StoreError, match=f"{host} is not an image registry: http://{host}/v2/ answers HTTP 404 Not Found"):
            has(host)

    def test_a_server_that_answers_everything_is_not_a_registry(self, page: Callable[[int], str]) -> None:
        host = page(200)
        with pytest.raises(StoreError, match=f"{host} is not an image registry: it answers with text/html instead of JSON"):
            has(host)

    def test_a_host_that_does_not_answer(self) -> None:
        host = f"127.0.0.1:{free_port()}"
        with pytest.raises(StoreError, match=f"image registry at {host} does not answer: .*refused"):
            has(host)

    def test_a_name_that_does_not_resolve(self) -> None:
        with pytest.raises(StoreError, match=r"image registry at images\.invalid does not answer: Failed to resolve 'images\.invalid'"):
            has("images.invalid")


def test_docker_hub_is_reached_at_its_registry() -> None:
    """moby's DefaultV2Registry."""
    (only,) = endpoints.endpoints("docker.io")
    assert only.url == "https://registry-1.docker.io"
    store = ImageStore("docker.io/team/clip")
    assert (store.host, store.name, store.connection.advice) == ("docker.io", "team/clip", "docker login")
