"""image build, push, list, check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import workload
from .console import print_json, print_table, say
from .errors import ImageCheckError, UsageError
from .git import git
from .image import Image, images_named
from .source import uncommitted

if TYPE_CHECKING:
    from .engine import LocalImage
    from .store import ImageStore, Stored

Command = Callable[..., Any]


@click.group()
def image() -> None:
    """Build, push, list and check images."""


def of_images(command: Command) -> Command:
    """The arguments that say which images are meant, and where they are kept."""
    for option in (
        click.option(
            "--registry", "place", metavar="HOST/NAMESPACE", help="Image registry.  [default: $IMAGE_REGISTRY; none: this machine's engine]"
        ),
        click.option("--base", metavar="IMAGE", help="Image to stand on.  [default: $BASE_IMAGE, else what each Dockerfile names]"),
        click.option("--all", "every", is_flag=True, help="All images."),
        click.argument("names", metavar="[NAME]...", nargs=-1),
    ):
        command = option(command)
    return command


NETWORK = click.option("--network", metavar="NETWORK", help="Network of the containers, for instance host.  [default: the engine's]")


@image.command()
@of_images
@NETWORK
@click.option("--force", is_flag=True, help="Build also what the image registry has already.")
def build(names: tuple[str, ...], every: bool, base: str | None, place: str | None, network: str | None, force: bool) -> None:
    """Build images; prints reference, size and ID of each.

    An image whose environment the image registry has already is not built again: its code comes with each run.
    """
    from .engine import Engine

    root = workload.clone_root()
    images = images_named(root, names, every, base, place)
    if outdated := [problem for each in images for problem in each.layer.outdated()]:
        raise UsageError(*outdated)
    engine = Engine()
    rows = []
    for each in images:
        stored = None if force else stored_image(each)
        if stored:
            say(f"{each.reference()}: the image registry has this environment already; --force builds it all the same")
            rows.append((each.reference(), f"{readable(stored.size)} packed", stored.digest))
            continue
        say(f"{each.reference()}: building on {each.base_name}")
        arguments = {"BASE_IMAGE": each.base_name, "COMMIT": git(root, "rev-parse", "HEAD") or "unknown", "ENVIRONMENT": each.environment}
        engine.build(each.dockerfile, root, [each.reference(), *extra_names(each)], arguments, network, say)
        local = engine.find(each.reference())
        assert local is not None
        rows.append((each.reference(), readable(local.size), local.id))
    print_table(("image", "size", "digest"), rows)


@image.command()
@of_images
def push(names: tuple[str, ...], every: bool, base: str | None, place: str | None) -> None:
    """Push images under their environment, their commit and `latest`; prints size and digest of each."""
    from .engine import Engine
    from .store import ImageStore

    images = images_named(workload.clone_root(), names, every, base, place)
    if local_only := [each.name for each in images if not each.is_kept_remotely]:
        raise UsageError(f"where to push {', '.join(local_only)}? --registry HOST/NAMESPACE, or set IMAGE_REGISTRY")
    engine = Engine()
    stored = {each: ImageStore(each.repository).find(each.environment) for each in images}
    if missing := [each.name for each in images if not stored[each] and not engine.find(each.reference())]:
        raise UsageError(*(f"{name} is not built in its present environment: registry image build {name}" for name in missing))
    rows = []
    for each in images:
        store = ImageStore(each.repository)
        if not stored[each]:
            say(f"{each.reference()}: pushing")
            engine.push(each.reference(), say)
        store.add_tags(each.environment, [name.rpartition(":")[2] for name in extra_names(each)])
        now = store.find(each.environment)
        assert now is not None
        rows.append((each.reference(), f"{readable(now.size)} packed", now.digest))
    print_table(("image", "size", "digest"), rows)


@image.command("list")
@of_images
@click.option("--json", "as_json", is_flag=True, help="As a JSON list of objects.")
def list_command(names: tuple[str, ...], every: bool, base: str | None, place: str | None, as_json: bool) -> None:
    """List images: their present environment, and where it is to be had."""
    found = [state_of(each) for each in images_named(workload.clone_root(), names, every or not names, base, place)]
    if as_json:
        print_json(found)
        return
    columns = ("image", "environment", "workloads", "local", "pushed", "digest", "other tags")
    print_table(columns, [(*(str(entry[column.replace(" ", "_")] or "-") for column in columns),) for entry in found])


@image.command()
@of_images
@NETWORK
def check(names: tuple[str, ...], every: bool, base: str | None, place: str | None, network: str | None) -> None:
    """Run images the way an agent would, and import everything in them. An image that is not here is pulled."""
    from . import image_check
    from .engine import Engine

    root = workload.clone_root()
    engine = Engine()
    failures = []
    for each in images_named(root, names, every, base, place):
        if engine.find(each.reference()) is None and each.is_kept_remotely:
            engine.pull(each.reference(), say)
        options = [f"--network={network}"] if network else []
        problems = image_check.problems_of(engine.run, each.reference(), each.name, packages_of(root, each.name), options)
        say(f"{each.reference()}: {'ready for the agent' if not problems else f'{len(problems)} problem(s)'}")
        failures += [f"{each.name}: {problem}" for problem in problems]
    if failures:
        raise ImageCheckError("\n".join(failures))


def store_of(each: Image) -> ImageStore | None:
    """The image registry's repository of an image, or None for one that is kept on this machine alone."""
    from .store import ImageStore

    return ImageStore(each.repository) if each.is_kept_remotely else None


def stored_image(each: Image) -> Stored | None:
    """The image in its present environment, as the image registry has it."""
    store = store_of(each)
    return store.find(each.environment) if store else None


def extra_names(each: Image) -> list[str]:
    """The names beside the environment's: `latest`, and the commit where the environment's files are those of the commit."""
    commit = git(each.root, "rev-parse", "HEAD")
    folders = tuple(f"docker/{name}/" for name in (each.name, "harness", "setup"))
    changed = [name for name in uncommitted(each.root) if name.startswith(folders)]
    tags = ["latest", *([commit] if commit and not changed else [])]
    return [each.reference(tag) for tag in tags]


def state_of(each: Image) -> dict[str, Any]:
    """What `image list` tells of one image."""
    local = local_image(each)
    store = store_of(each)
    stored, tags = (store.find(each.environment), store.tags()) if store else (None, [])
    users = [name for name, declaration in workload.discover(each.root).items() if declaration.image == each.name]
    return {
        "image": each.repository,
        "environment": each.environment,
        "workloads": " ".join(users),
        "local": readable(local.size) if local else None,
        "pushed": f"{readable(stored.size)} packed" if stored else None,
        "digest": stored.digest if stored else None,
        "other_tags": " ".join(tag for tag in tags if tag != each.environment),
    }


def local_image(each: Image) -> LocalImage | None:
    """The image as this machine's engine has it; a machine without an engine has none."""
    from .engine import Engine
    from .errors import EngineError

    try:
        engine = Engine()
    except EngineError as error:
        say(f"warning: {error}")
        return None
    return engine.find(each.reference())


def packages_of(root: Path, name: str) -> list[str]:
    """Our packages that an image's workloads run: those of their settings, and the harness."""
    declarations = [each for each in workload.discover(root).values() if each.image == name]
    settings = {
        command.config.partition(".")[0].partition(":")[0] for each in declarations for command in each.commands.values() if command.config
    }
    return ["harness", *sorted(settings)]


def readable(size: int) -> str:
    """Bytes as a person reads them."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


COMMANDS = (image,)
