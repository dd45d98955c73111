"""The command `registry image` and the engine with all kinds of image registries: both must be able to reach the same ones.

Slow: an engine of its own is started. The images are a few bytes large. Debian's engine takes no host in IPv6 notation; that the
registry is reached there is shown in tests/images/test_endpoints.py.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.address import own_address
from support.certificates import Authority
from support.command_line import git
from support.engine import Containers, engine, free_port, image_registry, missing, search_path
from support.images import DOCKER_LIST, Repository, for_platform
from support.server import LocalServer
from support.toy import make_repository

from registry.environment import layer_named
from registry.image import Image
from registry.images import endpoints
from registry.images.manifests import MACHINES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

OWN_BASE = "own-base:1"
DOCKERFILE = """\
ARG BASE_IMAGE=base.example.org/debian:12
FROM ${BASE_IMAGE}
COPY configs configs
ARG BASE_IMAGE
ARG COMMIT=unknown
ARG ENVIRONMENT=unknown
LABEL org.opencontainers.image.version="${ENVIRONMENT}" org.opencontainers.image.base.name="${BASE_IMAGE}"
CMD ["/pause"]
"""
HELPER = """#!/bin/sh
[ "$(cat)" = "{host}" ] && echo '{{"Username": "ada", "Secret": "{secret}"}}' && exit 0
echo credentials not found in native keychain; exit 1
"""


@dataclass(frozen=True)
class Bench:
    """An engine, a registry without TLS that it lists as insecure, and one with a private CA, client certificates and a password."""

    engine: Containers
    plain: str
    private: str
    authority: Authority
    home: Path

    def run(self, clone: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """The command `registry image` in a clone."""
        line = [sys.executable, "-m", "registry", "image", *arguments]
        environment = {**self.engine.environment, "BASE_IMAGE": OWN_BASE, "IMAGE_REGISTRY": f"{self.plain}/team", **variables}
        return subprocess.run(line, cwd=clone, env=environment, capture_output=True, text=True, timeout=120)

    def done(self, clone: Path, *arguments: str, **variables: str) -> str:
        """The same, which must succeed; returns its table."""
        done = self.run(clone, *arguments, **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def state(self, clone: Path, **variables: str) -> dict[str, str]:
        (found,) = json.loads(self.done(clone, "list", "toy", "--json", **variables))
        return dict(found)

    def tagged(self, clone: Path) -> tuple[Repository, str]:
        """The repository of the image, and its current environment."""
        image = Image("toy", clone, base=OWN_BASE, registry=f"{self.plain}/team")
        return Repository(image.repository), image.environment

    def base(self, name: str, content: bytes) -> None:
        """Make a base image of one file."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as files:
            member = tarfile.TarInfo("pause")
            member.size = len(content)
            files.addfile(member, io.BytesIO(content))
        subprocess.run(
            ["docker", "import", "-", name], input=archive.getvalue(), env=self.engine.environment, check=True, capture_output=True
        )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    if lacking := missing():
        pytest.fail(f"an engine cannot be started without {', '.join(lacking)}: make env, as root")
    folder = tmp_path_factory.mktemp("registries")
    plain_port, private_port, authority = free_port(), free_port(), Authority.made(folder / "authority")
    (folder / "plain").mkdir()
    (folder / "private").mkdir()
    (folder / "home").mkdir()
    with own_address() as address:
        plain, private = f"{address}:{plain_port}", f"{address}:{private_port}"
        with (
            image_registry(folder / "plain/data", plain_port, folder / "plain", address=address, storage={"delete": {"enabled": True}}),
            locked_registry(folder / "private", private, authority),
            trusted(private, authority),
            engine(folder / "images", folder, **{"insecure-registries": [plain]}) as socket_path,
        ):
            environment = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARML_", "DOCKER_"))}
            environment |= {"PATH": f"{folder}/bin:{search_path()}", "DOCKER_HOST": f"unix://{socket_path}", "DOCKER_BUILDKIT": "1"}
            environment |= {"HOME": str(folder / "home"), "DOCKER_CONFIG": str(folder / "settings")}
            made = Bench(Containers(environment, f"{plain}/team"), plain, private, authority, folder)
            made.base(OWN_BASE, b"the first")
            yield made


def locked_registry(folder: Path, host: str, authority: Authority) -> contextlib.AbstractContextManager[object]:
    """With TLS: it knows clients by certificate, and ada by her password."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    hashed: bytes = crypt(b"secret", b"$2b$04$abcdefghijklmnopqrstuu")
    (folder / "htpasswd").write_bytes(b"ada:" + hashed + b"\n")
    address, _, port = host.partition(":")
    certificate, key = authority.sign("server", address)
    tls = {"certificate": str(certificate), "key": str(key), "clientcas": [str(authority.certificate)]}
    return image_registry(folder / "data", int(port), folder, htpasswd=folder / "htpasswd", address=address, http={"tls": tls})


@contextlib.contextmanager
def trusted(host: str, authority: Authority) -> Iterator[None]:
    """The certificates in the folder where every engine looks; there is no other."""
    certificate, key = authority.sign("client")
    folder = endpoints.CERTIFICATES / host
    folder.mkdir(parents=True)
    try:
        for name, file in (("ca.crt", authority.certificate), ("client.cert", certificate), ("client.key", key)):
            shutil.copy(file, folder / name)
        yield
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose image `toy` has an environment of its own."""
    root = tmp_path / "clone"
    make_repository(root)
    (root / "docker/toy/Dockerfile").write_text(DOCKERFILE + f"# {tmp_path.name}\n")
    (root / "docker/harness").mkdir()
    (root / "docker/harness/requirements.txt").touch()
    for name in ("harness", "toy"):
        layer = layer_named(name, root)
        layer.lock.write_text(f"{layer.lock_header}\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "an image")
    return root


@pytest.fixture
def login(bench: Bench) -> Iterator[None]:
    """A credential helper that knows ada's password, found by DOCKER_CONFIG."""
    give_password(bench, "secret")
    (bench.home / "settings").mkdir(exist_ok=True)
    (bench.home / "settings/config.json").write_text(json.dumps({"credHelpers": {bench.private: "test"}}))
    yield
    (bench.home / "settings/config.json").unlink()


def give_password(bench: Bench, secret: str) -> None:
    program = bench.home / "bin/docker-credential-test"
    program.parent.mkdir(exist_ok=True)
    program.write_text(HELPER.format(host=bench.private, secret=secret))
    program.chmod(0o755)


class TestReached:
    def test_a_registry_without_tls_that_the_engine_lists(self, bench: Bench, clone: Path) -> None:
        bench.done(clone, "build", "toy")
        assert "pushed" in bench.done(clone, "push", "toy")
        now = bench.state(clone)
        bench.engine.docker("pull", f"{bench.plain}/team/toy@{now['digest']}")
        assert now["other_tags"].split() == ["latest"]  # the toy's Dockerfile states no commit, so no tag does

    def test_a_registry_with_a_private_ca_client_certificates_and_a_credential_helper(self, bench: Bench, clone: Path, login: None) -> None:
        here = {"IMAGE_REGISTRY": f"{bench.private}/team"}
        bench.done(clone, "build", "toy", **here)
        told = bench.done(clone, "push", "toy", **here)
        now = bench.state(clone, **here)
        assert now["digest"] in told
        bench.engine.docker("pull", f"{bench.private}/team/toy@{now['digest']}")


class TestRefused:
    """If the engine refuses, one line says why."""

    def refused(self, bench: Bench, clone: Path, host: str) -> str:
        pull = ["docker", "pull", f"{host}/team/toy:latest"]
        assert subprocess.run(pull, env=bench.engine.environment, capture_output=True).returncode
        done = bench.run(clone, "list", "toy", IMAGE_REGISTRY=f"{host}/team")
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        return line

    def test_a_wrong_password(self, bench: Bench, clone: Path, login: None) -> None:
        give_password(bench, "wrong")
        assert "rejects the login in docker-credential-test; run: docker login" in self.refused(bench, clone, bench.private)

    def test_no_password(self, bench: Bench, clone: Path) -> None:
        assert "requires a login; run: docker login" in self.refused(bench, clone, bench.private)

    def test_a_ca_that_is_not_trusted(self, bench: Bench, clone: Path) -> None:
        folder = endpoints.CERTIFICATES / bench.private
        (folder / "ca.crt").rename(folder / "ca.aside")
        try:
            told = self.refused(bench, clone, bench.private)
        finally:
            (folder / "ca.aside").rename(folder / "ca.crt")
        assert "is not trusted" in told
        assert f"put its CA into {folder}/ca.crt" in told

    def test_a_registry_without_tls_that_the_engine_does_not_list(self, bench: Bench, clone: Path, tmp_path: Path) -> None:
        address, port = bench.plain.partition(":")[0], free_port()
        with image_registry(tmp_path / "data", port, tmp_path, address=address):
            assert "uses plain HTTP" in self.refused(bench, clone, f"{address}:{port}")

    def test_a_registry_that_does_not_answer(self, bench: Bench, clone: Path) -> None:
        address = bench.plain.partition(":")[0]
        assert "does not answer: " in self.refused(bench, clone, f"{address}:{free_port()}")


class TestReplaced:
    def test_a_different_image_for_an_environment_is_refused_and_replaced_with_force(self, bench: Bench, clone: Path) -> None:
        bench.done(clone, "build", "toy")
        bench.done(clone, "push", "toy")
        (clone / "configs/toy/more.yaml").write_text("# code: no part of the environment\n")
        git(clone, "add", "configs/toy/more.yaml")  # what git does not track is in no image
        bench.done(clone, "build", "toy", "--force")
        repository, environment = bench.tagged(clone)
        spoilt = repository.find(environment)["digest"]
        here = bench.engine.docker("image", "inspect", "--format", "{{.Id}}", f"{repository.name}:{environment}")

        refused = bench.run(clone, "push", "toy")
        assert refused.returncode == 2
        both = f"a different image for this environment, {spoilt}; the local one is {here}; push --force replaces it"
        assert both in refused.stderr
        assert repository.find(environment)["digest"] == spoilt

        assert f"replaced {spoilt}" in bench.done(clone, "push", "toy", "--force")
        (now,) = {repository.find(tag)["digest"] for tag in (environment, "latest")}
        assert now != spoilt
        again = bench.run(clone, "push", "toy")
        assert "already there" in again.stderr
        assert now in again.stdout

    def test_an_image_pulled_from_an_index_is_the_same(self, bench: Bench, clone: Path) -> None:
        """As Docker 29 pushes images: the tag names an index, of which the engine takes the image for this machine."""
        bench.done(clone, "build", "toy")
        bench.done(clone, "push", "toy")
        repository, environment = bench.tagged(clone)
        image = for_platform(repository.find(environment), MACHINES[os.uname().machine])
        index = repository.index(environment, [image], DOCKER_LIST)
        name = f"{repository.name}:{environment}"
        bench.engine.docker("image", "rm", "--force", bench.engine.docker("image", "inspect", "--format", "{{.Id}}", name))
        bench.engine.docker("pull", name)
        assert "already there" in bench.done(clone, "push", "toy")
        assert repository.find(environment)["digest"] == index


class TestBases:
    def test_a_base_in_a_registry_must_be_named_by_its_digest(self, bench: Bench, clone: Path) -> None:
        """The error message has the digest; with it, the image is built on exactly that base."""
        base = f"{bench.plain}/bases/debian:12"
        bench.engine.docker("tag", OWN_BASE, base)
        bench.engine.docker("push", base)
        digest = Repository(base.rpartition(":")[0]).find("12")["digest"]
        for here in (True, False):
            if not here:
                bench.engine.docker("image", "rm", base)
            refused = bench.run(clone, "build", "toy", "--base", base)
            assert refused.returncode == 2
            assert f"named by a tag, which may move to another image; name it {base}@{digest}" in refused.stderr
        bench.done(clone, "build", "toy", "--base", f"{base}@{digest}")
        image = Image("toy", clone, base=f"{base}@{digest}", registry=f"{bench.plain}/team")
        assert image.environment != bench.tagged(clone)[1]
        labels = json.loads(bench.engine.docker("image", "inspect", "--format", "{{json .Config.Labels}}", image.reference()))
        assert labels["org.opencontainers.image.base.name"] == f"{base}@{digest}"
        assert labels["org.opencontainers.image.base.digest"] == digest

    def test_the_dockerfiles_base_must_be_pinned(self, bench: Bench, clone: Path) -> None:
        base = f"{bench.plain}/bases/pinned:12"
        bench.engine.docker("tag", OWN_BASE, base)
        bench.engine.docker("push", base)
        dockerfile = clone / "docker/toy/Dockerfile"
        dockerfile.write_text(dockerfile.read_text().replace("base.example.org/debian:12", base))
        refused = bench.run(clone, "build", "toy", BASE_IMAGE="")
        assert refused.returncode == 2
        assert f"toy: its base {base} is named by a tag, which may move to another image; run: registry image pin toy" in refused.stderr
        bench.done(clone, "pin", "toy", BASE_IMAGE="")
        bench.done(clone, "build", "toy", BASE_IMAGE="")
        assert f"{base}@sha256:" in dockerfile.read_text()

    def test_a_rebuilt_local_base_is_reported(self, bench: Bench, clone: Path) -> None:
        bench.base("moving:1", b"one")
        bench.done(clone, "build", "toy", BASE_IMAGE="moving:1")
        bench.base("moving:1", b"two")
        refused = bench.run(clone, "build", "toy", BASE_IMAGE="moving:1")
        assert refused.returncode == 2
        assert "was built on another image of the name moving:1" in refused.stderr
        bench.done(clone, "build", "toy", "--force", BASE_IMAGE="moving:1")


class TestPruned:
    def test_images_are_pruned_here_and_in_the_registry(self, bench: Bench, clone: Path, server: LocalServer) -> None:
        """A container keeps the image that it runs in."""
        used = self.built_and_left(bench, clone, "used by a container")
        bench.engine.docker("create", "--name=user", f"{bench.plain}/team/toy:{used}")
        gone = self.built_and_left(bench, clone, "gone")
        bench.done(clone, "build", "toy")
        repository, now = bench.tagged(clone)
        try:
            done = bench.run(clone, "prune", "toy", "--yes", CLEARML_CONFIG_FILE=str(server.conf))
        finally:
            bench.engine.docker("rm", "user")
        assert done.returncode == 1
        assert f"{repository.name}:{used} cannot be removed: " in done.stderr
        left = bench.engine.docker("image", "ls", "--format", "{{.Tag}}", repository.name).split()
        assert {used, now} <= set(left)
        assert gone not in left
        assert not {used, gone} & set(bench.state(clone)["other_tags"].split())

    def built_and_left(self, bench: Bench, clone: Path, text: str) -> str:
        """An image of a temporary environment of the clone, pushed with that tag only; returns the environment."""
        dockerfile = clone / "docker/toy/Dockerfile"
        before = dockerfile.read_text()
        dockerfile.write_text(f"{before}# {text}\n")
        bench.done(clone, "build", "toy")
        repository, made = bench.tagged(clone)
        bench.engine.docker("push", f"{repository.name}:{made}")
        bench.engine.docker("image", "rm", f"{repository.name}:latest")
        dockerfile.write_text(before)
        return made
