"""The image registry, asked directly: Debian's docker-registry, with and without a password."""

from __future__ import annotations

import base64
import ctypes
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from support.engine import free_port, image_registry

from registry.available import check_image
from registry.errors import StoreError
from registry.findings import Findings
from registry.image import Image
from registry.store import ImageStore, is_loopback

KIND = "application/vnd.docker.distribution.manifest.v2+json"
Push = Callable[..., str]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    with image_registry(folder / "data", port, folder):
        yield f"127.0.0.1:{port}"


def push(repository: str, tag: str, labels: dict[str, str], **request: object) -> str:
    """Push an image of one small layer by plain requests, and return its digest."""
    host, _, name = repository.partition("/")

    def blob(content: bytes, kind: str) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        place = requests.post(f"http://{host}/v2/{name}/blobs/uploads/", timeout=10, **request).headers["Location"]
        sent = requests.put(f"{place}&digest={digest}", data=content, timeout=10, **request)
        assert sent.status_code == 201, sent.text
        return {"mediaType": kind, "size": len(content), "digest": digest}

    configuration = blob(json.dumps({"config": {"Labels": labels}}).encode(), "application/vnd.docker.container.image.v1+json")
    layer = blob(b"layer" * 100, "application/vnd.docker.image.rootfs.diff.tar.gzip")
    manifest = json.dumps({"schemaVersion": 2, "mediaType": KIND, "config": configuration, "layers": [layer]}).encode()
    url = f"http://{host}/v2/{name}/manifests/{tag}"
    assert requests.put(url, data=manifest, headers={"Content-Type": KIND}, timeout=10, **request).status_code == 201
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def test_what_is_there_and_what_is_not(host: str) -> None:
    digest = push(f"{host}/team/a", "env-1", {})
    store = ImageStore(f"{host}/team/a")
    found = store.find("env-1")
    assert found is not None
    assert (found.digest, found.size) == (digest, 500)
    assert store.find("env-2") is None
    assert store.tags() == ["env-1"]
    assert ImageStore(f"{host}/team/never-pushed").tags() == []


def test_more_names_for_one_image(host: str) -> None:
    digest = push(f"{host}/team/b", "env-1", {"k": "v"})
    store = ImageStore(f"{host}/team/b")
    store.add_tags("env-1", ["latest", "0123abc"])
    assert store.tags() == ["0123abc", "env-1", "latest"]
    assert all((found := store.find(tag)) and found.digest == digest for tag in ("latest", "0123abc"))
    assert store.labels("latest") == {"k": "v"}
    assert store.labels(digest) == {"k": "v"}
    assert store.labels("missing") is None


def test_a_long_list_of_tags_comes_in_pages(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    push(f"{host}/team/c", "t0", {})
    store = ImageStore(f"{host}/team/c")
    store.add_tags("t0", [f"t{number}" for number in range(1, 7)])
    monkeypatch.setattr("registry.store.PAGE", 3)
    assert store.tags() == [f"t{number}" for number in range(7)]


def test_a_registry_that_does_not_answer() -> None:
    port = free_port()
    with pytest.raises(StoreError, match=rf"image registry at 127\.0\.0\.1:{port} does not answer: .*refused"):
        ImageStore(f"127.0.0.1:{port}/team/a").find("latest")


@pytest.fixture
def locked_host(tmp_path: Path) -> Iterator[str]:
    """A registry that knows ada with her password alone."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    hashed: bytes = crypt(b"secret", b"$2b$04$abcdefghijklmnopqrstuu")
    (tmp_path / "htpasswd").write_bytes(b"ada:" + hashed + b"\n")
    port = free_port()
    with image_registry(tmp_path / "data", port, tmp_path, htpasswd=tmp_path / "htpasswd"):
        yield f"127.0.0.1:{port}"


def log_in(folder: Path, host: str, name: str, password: str) -> None:
    """What `docker login` leaves."""
    folder.mkdir(exist_ok=True)
    code = base64.b64encode(f"{name}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": code}}}))


def test_the_password_of_docker_login_is_used(locked_host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = push(f"{locked_host}/team/a", "v1", {}, auth=("ada", "secret"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    log_in(tmp_path / ".docker", locked_host, "ada", "secret")
    found = ImageStore(f"{locked_host}/team/a").find("v1")
    assert found is not None
    assert found.digest == digest


@pytest.mark.parametrize("password", [None, "wrong"])
def test_without_the_right_password_it_says_to_log_in(
    locked_host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str | None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    if password:
        log_in(tmp_path / ".docker", locked_host, "ada", password)
    with pytest.raises(StoreError, match=f"docker login {locked_host}"):
        ImageStore(f"{locked_host}/team/a").find("v1")


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1:5000", True), ("localhost", True), ("localhost:5000", True), ("registry.example.org:5000", False), ("10.0.0.1", False)],
)
def test_only_on_this_machine_plain_http_is_spoken(host: str, here: bool) -> None:
    assert is_loopback(host) is here


class TestImageOfARun:
    """Before a task exists."""

    @pytest.fixture
    def needed(self, tmp_path: Path, host: str) -> Image:
        (tmp_path / "docker/clip").mkdir(parents=True)
        (tmp_path / "docker/clip/Dockerfile").write_text("ARG BASE_IMAGE=base:1\n")
        return Image("clip", tmp_path, place=f"{host}/{tmp_path.name}")

    def checked(self, needed: Image, tag: str) -> Findings:
        findings = Findings()
        check_image(needed.reference(tag), needed, findings, here=False)
        return findings

    def test_one_that_is_there_and_right(self, needed: Image) -> None:
        base = "mirror.example.org/base:1"
        version = Image("clip", needed.root, base=base).environment
        push(needed.repository, "v1", {"org.opencontainers.image.version": version, "org.opencontainers.image.base.name": base})
        assert self.checked(needed, "v1") == Findings()

    def test_one_that_states_nothing_is_taken(self, needed: Image) -> None:
        push(needed.repository, "v1", {})
        assert self.checked(needed, "v1") == Findings()

    def test_one_of_another_environment_is_a_problem_that_names_both(self, needed: Image) -> None:
        push(
            needed.repository,
            "v1",
            {"org.opencontainers.image.version": "env-0123456789ab", "org.opencontainers.image.base.name": "base:1"},
        )
        (problem,) = self.checked(needed, "v1").problems
        assert f"its environment is env-0123456789ab, the commit needs {needed.environment}" in problem
        assert "registry image push clip" in problem

    def test_one_that_is_missing_is_a_problem(self, needed: Image) -> None:
        (problem,) = self.checked(needed, "v1").problems
        assert problem.startswith(f"image {needed.reference('v1')} is not in its image registry: registry image build clip")

    def test_a_registry_that_does_not_answer_is_a_warning(self, needed: Image) -> None:
        """It may be reached from where the agents are."""
        findings = self.checked(needed, f"127.0.0.1:{free_port()}/team/clip:v1")
        assert not findings.problems
        assert "could not be looked for: the image registry at 127.0.0.1" in findings.warnings[0]
