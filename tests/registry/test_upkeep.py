"""`registry image pin` and `prune`, with Debian's docker-registry; for images in the engine, see tests/containers/test_registries.py."""

from __future__ import annotations

import os
import pty
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.command_line import Registry, git
from support.engine import free_port, image_registry
from support.images import OCI, Repository

from harness.image import environment
from registry import render
from registry.backends import Queue, Server
from registry.image import Image
from registry.images.store import ImageStore

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's
BASE = "org.opencontainers.image.base.name"
VERSION = "org.opencontainers.image.version"
STANDS_ON = "base.example.org/debian:12@sha256:" + 64 * "0"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image registry that allows deletion."""
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    with image_registry(folder / "data", port, folder, storage={"delete": {"enabled": True}}):
        yield f"127.0.0.1:{port}"


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    for name in ("BASE_IMAGE", "IMAGE_REGISTRY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def dockerfile(clone: Path) -> Path:
    """The Dockerfile of the image `toy`, committed."""
    file = clone / "docker/toy/Dockerfile"
    file.write_text("ARG BASE_IMAGE=base.example.org/debian:12\nFROM ${BASE_IMAGE}\n")
    git(clone, "add", ".")
    git(clone, "commit", "-qm", "an image")
    return file


class TestPin:
    @pytest.fixture
    def base(self, host: str, tmp_path: Path) -> Repository:
        return Repository(f"{host}/{tmp_path.name.lower()}/base")

    def test_the_digest_is_written_where_the_base_is_named(self, base: Repository, dockerfile: Path, registry: Registry) -> None:
        clone = dockerfile.parents[2]
        dockerfile.write_text(f"ARG BASE_IMAGE={base.name}:12\nFROM ${{BASE_IMAGE}}\n")
        digest = base.image("12", {})["digest"]
        assert registry("image", "pin", "toy").code == 0
        assert dockerfile.read_text() == f"ARG BASE_IMAGE={base.name}:12@{digest}\nFROM ${{BASE_IMAGE}}\n"
        assert Image("toy", clone).base_name == f"{base.name}:12@{digest}"
        assert f"{base.name}:12@{digest}" in (clone / "docker/compose.yaml").read_text()

    def test_pinning_a_moved_tag_again_makes_another_environment(self, base: Repository, dockerfile: Path, registry: Registry) -> None:
        image = Image("toy", dockerfile.parents[2])
        dockerfile.write_text(f"ARG BASE_IMAGE={base.name}:12\nFROM ${{BASE_IMAGE}}\n")
        first = base.image("12", {}, kind=OCI)["digest"]
        registry("image", "pin", "toy")
        before = image.environment
        moved = base.image("12", {"moved": "yes"}, kind=OCI)["digest"]
        assert image.environment == before
        outcome = registry("image", "pin", "--all")
        assert first in outcome.out
        assert image.base_name.endswith(moved)
        assert image.environment != before

    def test_images_on_nvidias_pytorch_share_one_setting(
        self, base: Repository, dockerfile: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clone = dockerfile.parents[2]
        pattern = render.DEFAULT_BASE.pattern.replace(re.escape(render.PYTORCH), re.escape(base.name))
        monkeypatch.setattr(render, "DEFAULT_BASE", re.compile(pattern, re.MULTILINE))
        monkeypatch.setattr(render, "PYTORCH", base.name)
        (clone / ".env").write_text("# of all\nPYTORCH_TAG=26.02-py3\n")
        dockerfile.write_text(f"ARG BASE_IMAGE={base.name}:26.02-py3\nFROM ${{BASE_IMAGE}}\n")
        digest = base.image("26.02-py3", {})["digest"]
        assert registry("image", "pin", "toy").code == 0
        assert (clone / ".env").read_text() == f"# of all\nPYTORCH_TAG=26.02-py3@{digest}\n"
        assert Image("toy", clone).base_name == f"{base.name}:26.02-py3@{digest}"
        assert not render.stale_files(clone)

    def test_nothing_is_written_if_a_digest_is_missing(self, base: Repository, dockerfile: Path, registry: Registry) -> None:
        clone = dockerfile.parents[2]
        (clone / "docker/other").mkdir()
        base.image("12", {})
        texts = {"toy": f"ARG BASE_IMAGE={base.name}:12\n", "other": f"ARG BASE_IMAGE={base.name}:13\n"}
        for name, text in texts.items():
            (clone / "docker" / name / "Dockerfile").write_text(text)
        outcome = registry("image", "pin", "--all")
        assert (outcome.code, outcome.err) == (2, f"error: there is no image {base.name}:13 in its image registry\n")
        assert dockerfile.read_text() == texts["toy"]

    def test_a_registry_that_does_not_answer_is_reported(self, dockerfile: Path, registry: Registry) -> None:
        base = f"127.0.0.1:{free_port()}/base:1"
        dockerfile.write_text(f"ARG BASE_IMAGE={base}\n")
        outcome = registry("image", "pin", "toy")
        assert outcome.code == 2
        assert f"{base}: the image registry at 127.0.0.1" in outcome.err


Push = Callable[..., str]


class TestPrune:
    @pytest.fixture
    def kept(self, embedded: Server, host: str, dockerfile: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Repository:
        """The repository of the image `toy`; the tasks are those of the embedded server."""
        monkeypatch.setenv("IMAGE_REGISTRY", f"{host}/{tmp_path.name.lower()}")
        return Repository(Image("toy", dockerfile.parents[2]).repository)

    @pytest.fixture
    def push(self, kept: Repository, dockerfile: Path) -> Push:
        """Pushes an image of the current clone on a base, tagged with its environment and further tags; returns the environment."""

        def push(*tags: str, base: str = STANDS_ON, **labels: str) -> str:
            made = environment(dockerfile.parents[2], "toy", base)
            kept.image(made, {BASE: base, VERSION: made, **labels})
            ImageStore(kept.name).add_tags(made, tags)
            return made

        return push

    def change(self, dockerfile: Path, text: str) -> None:
        dockerfile.write_text(f"{dockerfile.read_text()}# {text}\n")

    def commit(self, dockerfile: Path, text: str) -> str:
        """Commit a change of the image; returns the commit."""
        self.change(dockerfile, text)
        git(dockerfile.parents[2], "commit", "-qam", text)
        return git(dockerfile.parents[2], "rev-parse", "HEAD")

    def test_unneeded_images_are_removed_with_their_commit_tags(
        self, kept: Repository, push: Push, dockerfile: Path, registry: Registry, embedded: Server
    ) -> None:
        gone = push(git(dockerfile.parents[2], "rev-parse", "HEAD"))
        commit = self.commit(dockerfile, "newer")
        now = push(commit, "latest")
        outcome = registry("image", "prune", "toy", "--yes")
        assert outcome.code == 0
        assert gone in outcome.out
        assert "kept: branch main needs it" in outcome.err
        assert ImageStore(kept.name).tags() == sorted([now, commit, "latest"])

    def test_branches_and_tags_and_the_clones_state_keep_their_images(
        self, kept: Repository, push: Push, dockerfile: Path, registry: Registry, embedded: Server
    ) -> None:
        clone = dockerfile.parents[2]
        first = push()
        git(clone, "tag", "v1")
        self.commit(dockerfile, "main goes on")
        git(clone, "switch", "-qc", "other")
        self.commit(dockerfile, "on a branch")
        second = push(base="own-base:1")
        self.commit(dockerfile, "gone on")
        gone = push()
        git(clone, "switch", "-q", "main")
        git(clone, "branch", "-f", "other", "other~1")
        self.change(dockerfile, "not committed")
        third = push()
        git(clone, "reflog", "expire", "--expire=now", "--all")
        outcome = registry("image", "prune", "toy", "--yes")
        assert ImageStore(kept.name).tags() == sorted([first, second, third])
        assert gone in outcome.out
        for told in (
            f"{first}: kept: tag v1 needs it",
            f"{second}: kept: branch other needs it",
            f"{third}: kept: this clone needs it",
        ):
            assert told in outcome.err

    def test_waiting_and_running_tasks_keep_their_images(
        self, kept: Repository, push: Push, dockerfile: Path, registry: Registry, embedded: Server, queue: Queue
    ) -> None:
        by_tag, by_commit, by_digest, ended = [
            self.pushed_and_left(push, dockerfile, text) for text in ("tag", "commit", "digest", "ended")
        ]
        digest = ImageStore(kept.name).digest(by_digest)
        tasks = [self.task(embedded, f"{kept.name}{name}") for name in (f":{by_tag}", ":" + 40 * "c", f"@{digest}", f":{ended}")]
        ImageStore(kept.name).add_tags(by_commit, [40 * "c"])
        embedded.enqueue(tasks, queue)
        embedded.call("tasks.started", task=tasks[1])
        embedded.call("tasks.stopped", task=tasks[3], force=True)
        registry("image", "prune", "toy", "--yes")
        assert ImageStore(kept.name).tags() == sorted([by_tag, by_commit, by_digest, 40 * "c"])

    def pushed_and_left(self, push: Push, dockerfile: Path, text: str) -> str:
        """An image of a temporary state of the clone."""
        before = dockerfile.read_text()
        self.change(dockerfile, text)
        made = push()
        dockerfile.write_text(before)
        return made

    def task(self, server: Server, image: str) -> str:
        project = server.project("pruning")
        task = server.call(
            "tasks.create", name=image, type="training", project=project, container={"image": image}, script={"entry_point": "a"}
        )
        return str(task["id"])

    def test_another_name_of_a_needed_image_is_kept(
        self, kept: Repository, push: Push, dockerfile: Path, registry: Registry, embedded: Server
    ) -> None:
        """A registry deletes by digest, so the needed name would be deleted too."""
        needed = push("env-0123456789ab")
        other = self.pushed_and_left(push, dockerfile, "named by a person")
        ImageStore(kept.name).add_tags(other, ["best"])
        outcome = registry("image", "prune", "toy", "--yes")
        assert ImageStore(kept.name).tags() == sorted([needed, "env-0123456789ab", other, "best"])
        assert "kept: best is another name for it" in outcome.err

    @pytest.mark.parametrize("labels", [{}, {VERSION: "env-ba9876543210", BASE: STANDS_ON}, {VERSION: "env-0123456789ab"}])
    def test_images_of_unknown_origin_are_kept(
        self, kept: Repository, registry: Registry, embedded: Server, labels: dict[str, str]
    ) -> None:
        kept.image("env-0123456789ab", labels)
        outcome = registry("image", "prune", "toy", "--yes")
        assert "kept: its labels do not say what it was made from" in outcome.err
        assert ImageStore(kept.name).tags() == ["env-0123456789ab"]

    def test_without_yes_nothing_is_removed(
        self, kept: Repository, push: Push, dockerfile: Path, registry: Registry, embedded: Server
    ) -> None:
        gone = self.pushed_and_left(push, dockerfile, "gone")
        outcome = registry("image", "prune", "toy")
        assert outcome.code == 0
        assert gone in outcome.out
        assert "nothing was removed; to remove without a prompt, add --yes" in outcome.err
        assert ImageStore(kept.name).tags() == [gone]

    @pytest.mark.parametrize(("answer", "removed"), [("n", False), ("y", True)])
    def test_at_a_terminal_it_asks(
        self,
        kept: Repository,
        push: Push,
        dockerfile: Path,
        registry: Registry,
        monkeypatch: pytest.MonkeyPatch,
        answer: str,
        removed: bool,
    ) -> None:
        gone = self.pushed_and_left(push, dockerfile, "gone")
        ours, theirs = pty.openpty()
        with os.fdopen(ours, "w") as person, os.fdopen(theirs) as terminal:
            monkeypatch.setattr(sys, "stdin", terminal)
            person.write(f"{answer}\n")
            person.flush()
            assert "Remove 1 image(s)? [y/N]" in registry("image", "prune", "toy").err
        assert ImageStore(kept.name).tags() == ([] if removed else [gone])

    def test_a_registry_without_deletion_is_a_one_line_error(
        self,
        kept: Repository,
        push: Push,
        dockerfile: Path,
        registry: Registry,
        embedded: Server,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        port = free_port()
        with image_registry(tmp_path / "data", port, tmp_path):
            monkeypatch.setenv("IMAGE_REGISTRY", f"127.0.0.1:{port}")
            for tag in ("env-0123456789ab", "env-ba9876543210"):
                Repository(f"127.0.0.1:{port}/toy").image(tag, {VERSION: tag, BASE: STANDS_ON})
            outcome = registry("image", "prune", "toy", "--yes")
        assert outcome.code == 1
        assert outcome.err.count("does not allow deletion (HTTP 405)") == 1
        assert "removed 0 of 2" in outcome.err


class TestUnknownNeeds:
    """Then no image is examined."""

    def test_without_a_server(self, dockerfile: Path, registry: Registry, no_server: None) -> None:
        outcome = registry("image", "prune", "toy", "--yes")
        assert outcome.code == 1
        assert "no ClearML server is configured" in outcome.err

    def test_a_remote_that_does_not_answer(self, dockerfile: Path, registry: Registry, embedded: Server, tmp_path: Path) -> None:
        git(dockerfile.parents[2], "remote", "add", "origin", str(tmp_path / "nowhere"))
        outcome = registry("image", "prune", "toy", "--yes")
        assert outcome.code == 2
        assert "origin does not list its branches" in outcome.err

    def test_branches_of_the_remote_that_were_not_fetched(
        self, dockerfile: Path, registry: Registry, embedded: Server, tmp_path: Path
    ) -> None:
        clone = dockerfile.parents[2]
        git(tmp_path, "clone", "-q", str(clone), str(tmp_path / "theirs"))
        git(tmp_path / "theirs", "switch", "-qc", "news")
        git(tmp_path / "theirs", "commit", "-q", "--allow-empty", "-m", "theirs")
        git(clone, "remote", "add", "origin", str(tmp_path / "theirs"))
        outcome = registry("image", "prune", "toy", "--yes")
        assert outcome.code == 2
        assert "branch news of origin was not fetched; run: git fetch" in outcome.err
        git(clone, "fetch", "-q")
        assert registry("image", "prune", "toy", "--yes").code == 0
