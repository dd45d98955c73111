"""Queries to an image registry, tested with Debian's docker-registry."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engine import free_port, image_registry
from support.images import DOCKER, DOCKER_LIST, OCI, OCI_INDEX, Json, Repository, for_platform

from registry.enqueue.available import check_image
from registry.errors import StoreError
from registry.findings import Findings
from registry.image import Image
from registry.images.manifests import MACHINES, for_this_machine
from registry.images.store import ImageStore


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    with image_registry(folder / "data", port, folder):
        yield f"127.0.0.1:{port}"


def push(repository: str, tag: str, labels: dict[str, str], **options: object) -> str:
    """Push an image of one small layer, and return its digest."""
    return str(Repository(repository, options=options).image(tag, labels)["digest"])


def test_present_and_missing_images(host: str) -> None:
    digest = push(f"{host}/team/a", "env-1", {})
    store = ImageStore(f"{host}/team/a")
    found = store.find("env-1")
    assert found is not None
    assert (found.digest, found.size) == (digest, 500)
    assert store.find("env-2") is None
    assert store.tags() == ["env-1"]
    assert ImageStore(f"{host}/team/never-pushed").tags() == []


def test_adding_tags_to_an_image(host: str) -> None:
    digest = push(f"{host}/team/b", "env-1", {"k": "v"})
    store = ImageStore(f"{host}/team/b")
    store.add_tags("env-1", ["latest", "0123abc"])
    assert store.tags() == ["0123abc", "env-1", "latest"]
    assert all((found := store.find(tag)) and found.digest == digest for tag in ("latest", "0123abc"))
    assert store.labels("latest") == {"k": "v"}
    assert store.labels(digest) == {"k": "v"}
    assert store.labels("missing") is None


def test_a_long_list_of_tags_is_read_in_pages(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    push(f"{host}/team/c", "t0", {})
    store = ImageStore(f"{host}/team/c")
    store.add_tags("t0", [f"t{number}" for number in range(1, 7)])
    monkeypatch.setattr("registry.images.store.PAGE", 3)
    assert store.tags() == [f"t{number}" for number in range(7)]


def test_a_registry_that_does_not_answer() -> None:
    port = free_port()
    with pytest.raises(StoreError, match=rf"image registry at 127\.0\.0\.1:{port} does not answer: .*refused"):
        ImageStore(f"127.0.0.1:{port}/team/a").find("latest")


@pytest.fixture(scope="module", params=[(OCI, OCI_INDEX), (DOCKER, DOCKER_LIST)], ids=["OCI", "Docker"])
def pushed(host: str, request: pytest.FixtureRequest) -> tuple[Repository, str, Json]:
    """A repository, the digest of its index `env-1`, and the image for this machine in it."""
    kind, index = request.param
    repository = Repository(f"{host}/indices/{kind.split('.')[1]}")
    here = MACHINES[platform.machine()]
    image = repository.image(None, {"for": here}, kind=kind, layer=b"a" * 300)
    other = repository.image(None, {"for": "another machine"}, kind=kind, layer=b"b" * 700)
    attached = [repository.attestation(each) for each in (other, image)] if kind == OCI else []
    entries = [*attached, for_platform(other, "riscv64"), for_platform(image, here)]
    return repository, repository.index("env-1", entries, index), image


class TestIndices:
    """What Docker 29 pushes, and builders of several platforms: an index in place of an image.

    The forms are those of image-index.md and manifest.md of the OCI image specification 1.1, of Docker's manifest list, and of BuildKit's
    attestations. They are pushed as they are: Debian's engine makes none of them.
    """

    def test_the_image_for_this_machine_is_read(self, pushed: tuple[Repository, str, Json]) -> None:
        repository, digest, image = pushed
        store = ImageStore(repository.name)
        found = store.find("env-1")
        assert found is not None
        assert (found.digest, found.size) == (digest, 300)
        assert store.labels("env-1") == {"for": MACHINES[platform.machine()]}
        assert image["digest"] in found.identities

    def test_added_tags_name_the_index(self, pushed: tuple[Repository, str, Json]) -> None:
        repository, digest, _ = pushed
        store = ImageStore(repository.name)
        store.add_tags("env-1", ["latest"])
        assert store.digest("latest") == digest
        assert store.tags() == ["env-1", "latest"]

    def test_without_an_image_for_this_machine_another_has_the_labels(self, host: str) -> None:
        repository = Repository(f"{host}/indices/other")
        image = repository.image(None, {"k": "v"}, kind=OCI)
        repository.index("v1", [for_platform(image, "riscv64")])
        assert ImageStore(repository.name).labels("v1") == {"k": "v"}

    def test_an_index_with_only_attestations_is_an_error(self, host: str) -> None:
        repository = Repository(f"{host}/indices/empty")
        image = repository.image(None, {}, kind=OCI)
        repository.index("v1", [repository.attestation(image)])
        with pytest.raises(StoreError, match=r"indices/empty has an index without an image for Linux"):
            ImageStore(repository.name).find("v1")

    def test_an_entry_of_an_unknown_media_type_is_ignored(self) -> None:
        """As image-index.md demands of clients that read an index."""
        here = {"os": "linux", "architecture": MACHINES[platform.machine()]}
        entries = [{"mediaType": kind, "digest": kind, "platform": here} for kind in ("application/vnd.example.later+json", OCI)]
        assert for_this_machine({"manifests": entries}) == OCI

    def test_the_engines_id_is_the_digest_of_the_index_or_the_configuration(self, pushed: tuple[Repository, str, Json]) -> None:
        """The first with the engine's new image store, the second with the old one."""
        repository, digest, image = pushed
        found = ImageStore(repository.name).find("env-1")
        manifest = ImageStore(repository.name).manifest(image["digest"])
        assert found is not None
        assert manifest is not None
        assert {digest, manifest.json()["config"]["digest"]} <= found.identities


class TestDeletion:
    def test_deleting_a_digest_deletes_its_tags(self, tmp_path: Path) -> None:
        port = free_port()
        with image_registry(tmp_path / "data", port, tmp_path, storage={"delete": {"enabled": True}}):
            repository = Repository(f"127.0.0.1:{port}/team/a")
            first, second = (repository.image(tag, {"tag": tag})["digest"] for tag in ("env-1", "env-2"))
            store = ImageStore(repository.name)
            store.add_tags("env-1", ["latest"])
            store.delete(first)
            assert store.tags() == ["env-2"]
            assert store.digest("env-2") == second
            store.delete(first)  # somebody else was faster

    def test_a_registry_without_deletion_is_an_error(self, host: str) -> None:
        digest = push(f"{host}/team/kept", "env-1", {})
        with pytest.raises(StoreError, match=r"does not allow deletion \(HTTP 405\); .* REGISTRY_STORAGE_DELETE_ENABLED=true"):
            ImageStore(f"{host}/team/kept").delete(digest)
        assert ImageStore(f"{host}/team/kept").digest("env-1") == digest


class TestImageOfARun:
    """Before a task exists."""

    @pytest.fixture
    def needed(self, tmp_path: Path, host: str) -> Image:
        (tmp_path / "docker/clip").mkdir(parents=True)
        (tmp_path / "docker/clip/Dockerfile").write_text("ARG BASE_IMAGE=base:1\n")
        return Image("clip", tmp_path, registry=f"{host}/{tmp_path.name}")

    def checked(self, needed: Image, tag: str) -> Findings:
        findings = Findings()
        check_image(needed.reference(tag), needed, findings, here=False)
        return findings

    def test_an_image_of_the_right_environment_is_accepted(self, needed: Image) -> None:
        base = "mirror.example.org/base:1"
        version = Image("clip", needed.root, base=base).environment
        push(needed.repository, "v1", {"org.opencontainers.image.version": version, "org.opencontainers.image.base.name": base})
        assert self.checked(needed, "v1") == Findings()

    def test_an_image_without_labels_is_accepted(self, needed: Image) -> None:
        push(needed.repository, "v1", {})
        assert self.checked(needed, "v1") == Findings()

    def test_an_image_of_another_environment_is_a_problem_that_names_both(self, needed: Image) -> None:
        push(
            needed.repository,
            "v1",
            {"org.opencontainers.image.version": "env-0123456789ab", "org.opencontainers.image.base.name": "base:1"},
        )
        (problem,) = self.checked(needed, "v1").problems
        assert f"its environment is env-0123456789ab, but the commit needs {needed.environment}" in problem
        assert "registry image push clip" in problem

    def test_a_missing_image_is_a_problem(self, needed: Image) -> None:
        (problem,) = self.checked(needed, "v1").problems
        assert problem.startswith(f"image {needed.reference('v1')} is not in its image registry; run: registry image build clip")

    def test_a_registry_that_does_not_answer_is_a_warning(self, needed: Image) -> None:
        """The agents may be able to reach it."""
        findings = self.checked(needed, f"127.0.0.1:{free_port()}/team/clip:v1")
        assert not findings.problems
        assert "could not check image" in findings.warnings[0]
