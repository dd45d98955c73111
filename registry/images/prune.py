"""Finds images that are no longer needed: no branch, no tag and no active task uses their environment.

An image is removed with all of its tags, because a registry deletes by digest. Therefore it is kept if one of its tags is needed, or is
neither an environment nor a commit; and if its labels do not say what it was made from.
"""

from __future__ import annotations

import contextlib
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from harness.image import environment

from ..backends import MOST_TASKS, Server
from ..errors import UsageError
from ..findings import few
from ..git import git
from ..image import Image
from ..remote import ask, remote_of
from ..statuses import ACTIVE
from . import attachments, labels
from .engine import Engine
from .reference import Reference, read
from .store import ImageStore

ENVIRONMENT = re.compile(r"env-[0-9a-f]{12}")
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Kept:
    """An image in one place: this machine's engine, or an image registry."""

    image: Image
    place: str
    digest: str | None
    """Its digest in the image registry, which an engine may not know."""
    tags: tuple[str, ...]
    size: int
    labels: Mapping[str, str]
    remove: Callable[[], None]


@dataclass
class Needs:
    """What needs images: branches, tags and tasks."""

    trees: Mapping[Path, str]
    """Folders that contain a docker/ folder, and where each comes from: `branch main`."""
    references: frozenset[Reference]
    """The images that active tasks name."""
    known: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    def environments(self, name: str, base: str) -> Mapping[str, str]:
        """The environments of an image on a base, and where each comes from."""
        if (name, base) not in self.known:
            self.known[name, base] = {environment(tree, name, base): whose for tree, whose in self.trees.items()}
        return self.known[name, base]


def reason_to_keep(kept: Kept, needs: Needs) -> str | None:
    """Why an image is kept, or None."""
    names = [*(f":{tag}" for tag in kept.tags), *([f"@{kept.digest}"] if kept.digest else [])]
    if any(read(kept.image.repository + name) in needs.references for name in names):
        return "a waiting or running task needs it"
    made = [tag for tag in kept.tags if ENVIRONMENT.fullmatch(tag)]
    base = kept.labels.get(labels.BASE)
    if not base or kept.labels.get(labels.ENVIRONMENT) not in made:
        return "its labels do not say what it was made from"
    needed = needs.environments(kept.image.name, base)
    if users := [needed[tag] for tag in made if tag in needed]:
        return f"{users[0]} needs it"
    if others := [tag for tag in kept.tags if tag not in made and not COMMIT.fullmatch(tag)]:
        return f"{', '.join(others)} is another name for it"
    return None


def images_here(image: Image, engine: Engine) -> Iterator[Kept]:
    """All environments of an image in the engine."""
    found: dict[str, list[str]] = {}
    local = {tag: engine.find(image.reference(tag)) for tag in engine.tags(image.repository)}
    for tag, each in local.items():
        if each:
            found.setdefault(each.id, []).append(tag)
    for tags in found.values():
        each = local[tags[0]]
        assert each is not None
        if any(ENVIRONMENT.fullmatch(tag) for tag in tags):
            digest = each.digest_at(image.repository)
            yield Kept(image, "this machine", digest, tuple(tags), each.size, each.labels, remover(engine, image, tags))


def remover(engine: Engine, image: Image, tags: list[str]) -> Callable[[], None]:
    def remove() -> None:
        for tag in tags:
            engine.remove(image.reference(tag))

    return remove


def images_stored(image: Image, store: ImageStore) -> Iterator[Kept]:
    """All environments of an image in the image registry."""
    found: dict[str, list[str]] = {}
    for tag in store.tags():
        if digest := store.digest(tag):
            found.setdefault(digest, []).append(tag)
    for digest, tags in found.items():
        if any(ENVIRONMENT.fullmatch(tag) for tag in tags):
            stored = store.find(digest)
            size = stored.size if stored else 0
            yield Kept(image, store.host, digest, tuple(tags), size, store.labels(digest) or {}, partial(attachments.remove, store, digest))


def images_of_tasks(server: Server) -> frozenset[Reference]:
    """The images that waiting and running tasks name."""
    named: set[str] = set()
    page, tasks = 0, None
    while tasks is None or len(tasks) == MOST_TASKS:
        tasks = server.tasks(status=list(ACTIVE), only_fields=["id", "container.image"], order_by=["id"], page=page, page_size=MOST_TASKS)
        named |= {str((task.get("container") or {}).get("image") or "") for task in tasks}
        page += 1
    return frozenset(read(name.split()[0]) for name in named if name.strip())


@contextlib.contextmanager
def trees_of(root: Path) -> Iterator[dict[Path, str]]:
    """Temporary folders with the docker/ folder of each branch and tag, here and at the remote, and of the clone's current state.

    Raises:
        UsageError: the remote does not list its branches, or has some that have not been fetched.
    """
    commits = commits_of(root)
    trees = {git(root, "rev-parse", "--verify", "--quiet", f"{commit}:docker"): whose for commit, whose in reversed(commits.items())}
    with tempfile.TemporaryDirectory() as scratch:
        folders = {root: "this clone"}
        for tree, whose in trees.items():
            if tree:
                folder = Path(scratch, tree)
                unpack(root, tree, folder / "docker")
                folders[folder] = whose
        yield folders


def commits_of(root: Path) -> dict[str, str]:
    """The commits of branches and tags, and the name of each."""
    lines = (git(root, "for-each-ref", "--format=%(refname) %(objectname) %(*objectname)", "refs/heads", "refs/tags") or "").splitlines()
    commits = {line.split()[-1]: shown(line.split()[0]) for line in lines}
    if name := remote_of(root):
        remote = ask(root, name)
        if remote.silence:
            raise UsageError(f"cannot tell which images are needed, because {name} does not list its branches: {remote.silence}")
        missing = [ref for ref, commit in remote.refs.items() if git(root, "cat-file", "-e", f"{commit}^{{commit}}") is None]
        if missing:
            named = few([shown(ref) for ref in missing])
            raise UsageError(f"cannot tell which images are needed, because {named} of {name} was not fetched; run: git fetch")
        commits = {**{commit: f"{shown(ref)} of {name}" for ref, commit in remote.refs.items()}, **commits}
    return commits


def shown(ref: str) -> str:
    return ref.replace("refs/heads/", "branch ").replace("refs/tags/", "tag ")


def unpack(root: Path, tree: str, folder: Path) -> None:
    """Write the files of a git tree to a folder."""
    folder.mkdir(parents=True)
    archive = folder.with_name("docker.tar")
    written = git(root, "archive", "--format=tar", f"--output={archive}", tree)
    assert written is not None, tree
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
