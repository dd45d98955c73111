"""image build, push, list, check."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import completion, workload
from ..console import print_json, print_table, readable, say
from ..dotenv import setting
from ..errors import EngineError, ImageCheckError, UsageError
from ..git import git
from ..image import Image, images_named
from ..images.context import Context, commit_in

if TYPE_CHECKING:
    from ..images.engine import Engine, LocalImage
    from ..images.store import ImageStore, Stored

Command = Callable[..., Any]


@click.group()
def image() -> None:
    """Build, push, list, check, pin and remove images."""


def of_images(command: Command) -> Command:
    """Add the arguments that select images and say where they are stored."""
    for option in (
        click.option(
            "--registry",
            metavar="HOST/NAMESPACE",
            help="Image registry.  [default: $IMAGE_REGISTRY, or else this machine's engine only]",
        ),
        click.option("--base", metavar="IMAGE", help="Base image.  [default: $BASE_IMAGE, or else the one that each Dockerfile names]"),
        click.option("--all", "every", is_flag=True, help="Select all images."),
        click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=completion.images),
    ):
        command = option(command)
    return command


NETWORK = click.option("--network", metavar="NETWORK", help="Network of the containers, such as host.  [default: the engine's]")


@image.command()
@of_images
@NETWORK
@click.option("--force", is_flag=True, help="Build even if the image registry already has this environment.")
def build(names: tuple[str, ...], every: bool, base: str | None, registry: str | None, network: str | None, force: bool) -> None:
    """Build images, and print the name, size and ID of each.

    If the image registry already has an image of the same environment, nothing is built: the code comes with each run. A base must be
    named by its digest (see registry image pin), unless only this machine's engine has it.
    """
    from ..images import bases, labels
    from ..images.engine import Engine
    from ..images.places import labels_of, stored_image

    root = workload.clone_root()
    images = images_named(root, names, every, base, registry)
    contexts = {each: Context(root, each.dockerfile) for each in images}
    if problems := [problem for each in images for problem in (*each.layer.outdated(), contexts[each].problem()) if problem]:
        raise UsageError(*problems)
    arguments = time_zone(root)
    engine = Engine()
    found = [bases.problem_of(each, engine) for each in images]
    stored = {each: None if force else stored_image(each) for each in images}
    found += [None if force else bases.moved(each, labels_of(each, engine), engine) for each in images]
    if problems := [problem for problem in found if problem]:
        raise UsageError(*problems)
    rows = []
    for each in images:
        if there := stored[each]:
            say(f"{each.reference()}: the image registry already has this environment; --force builds it anyway")
            rows.append((each.reference(), f"{readable(there.size)} packed", there.digest))
        else:
            local = built(each, contexts[each], arguments, {labels.BASE_DIGEST: bases.identity(each, engine)}, engine, network)
            rows.append((each.reference(), readable(local.size), local.id))
    print_table(("image", "size", "digest"), rows)


def built(
    each: Image, context: Context, arguments: Mapping[str, str], labels: Mapping[str, str], engine: Engine, network: str | None
) -> LocalImage:
    """Build an image and tag it with its environment, `latest`, and the commit if its code is exactly a commit's."""
    say(f"{each.reference()}: building on {each.base_name}")
    for note in context.notes():
        say(f"warning: {each.name}: {note}")
    if engine.find(each.base_name) is None:
        engine.pull(each.base_name, say)  # the builder of older engines reaches fewer registries than the engine itself
    origin = {"BASE_IMAGE": each.base_name, "COMMIT": context.commit or "unknown", "ENVIRONMENT": each.environment}
    tags = [each.environment, "latest", *([context.commit] if context.commit else [])]
    engine.build(context, [each.reference(tag) for tag in tags], {**origin, **arguments}, labels, network, say)
    local = engine.find(each.reference())
    assert local is not None
    return local


@image.command()
@of_images
@click.option("--force", is_flag=True, help="Replace a different image that the image registry has for the same environment.")
def push(names: tuple[str, ...], every: bool, base: str | None, registry: str | None, force: bool) -> None:
    """Push images with their SBOMs, and print what was done.

    Each image is tagged with its environment, with the commit whose code it holds, and with `latest`.
    """
    from ..images.engine import Engine
    from ..images.store import ImageStore

    images = images_named(workload.clone_root(), names, every, base, registry)
    if local_only := [each.name for each in images if not each.is_kept_remotely]:
        raise UsageError(
            f"no image registry is named to push {', '.join(local_only)} to: add --registry HOST/NAMESPACE, or set IMAGE_REGISTRY"
        )
    engine = Engine()
    stores = {each: ImageStore(each.repository) for each in images}
    before = {each: (engine.find(each.reference()), store.find(each.environment)) for each, store in stores.items()}
    if problems := [problem for each in images if (problem := objection(each, *before[each], force))]:
        raise UsageError(*problems)
    rows = []
    for each, store in stores.items():
        local, stored = before[each]
        if same := stored is not None and (local is None or is_same(local, stored)):
            say(f"{each.reference()}: already there")
        else:
            say(f"{each.reference()}: pushing")
            engine.push(each.reference(), say)
        now = store.find(each.environment)
        assert now is not None
        store.add_tags(each.environment, ["latest", *commit_tag(each, store)])
        describe(each, store, now, engine)
        done = "already there" if same else f"replaced {stored.digest}" if stored else "pushed"
        rows.append((each.reference(), f"{readable(now.size)} packed", now.digest, done))
    print_table(("image", "size", "digest", "result"), rows)


def objection(each: Image, local: LocalImage | None, stored: Stored | None, force: bool) -> str | None:
    """Why an image may not be pushed."""
    build = f"registry image build {each.name}"
    if local is None:
        return (
            None
            if stored and not force
            else f"{each.name} has not been built for its current environment: {build}{' --force' if stored else ''}"
        )
    if stored is None or force or is_same(local, stored):
        return None
    return (
        f"{each.reference()}: the image registry has a different image for this environment, {stored.digest}; "
        f"the local one is {local.digest_at(each.repository) or local.id}; push --force replaces it"
    )


def commit_tag(each: Image, store: ImageStore) -> list[str]:
    """The commit whose code an image in the registry holds, which becomes a tag: the current commit or an earlier one."""
    held, head = commit_in(store.labels(each.environment) or {}), git(each.root, "rev-parse", "HEAD")
    if held != head:
        code = f"the code of {held}" if held else "uncommitted code"
        say(f"{each.reference()}: not tagged with commit {head}: the image holds {code}")
    return [held] if held else []


def describe(each: Image, store: ImageStore, stored: Stored, engine: Engine) -> None:
    """Attach the SBOM to an image in the registry, if it has none yet."""
    from ..images import attachments, sbom

    local = engine.find(each.reference())
    if store.digest(attachments.tag_of(stored.digest)):
        return
    if local is None or not is_same(local, stored):
        say(f"warning: {each.reference()} has no SBOM, and there is no local copy to make one from: docker pull it, then push again")
        return
    try:
        contents = sbom.of_image(engine, each, local, stored.digest)
    except EngineError as error:  # an image without Python is pushed anyway
        say(f"warning: {each.reference()} has no SBOM: {error}")
        return
    attachments.attach(store, stored.digest, contents)


def is_same(local: LocalImage, stored: Stored) -> bool:
    """Whether the engine and the image registry have the same image."""
    return local.id in stored.identities


@image.command("list")
@of_images
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
def list_command(names: tuple[str, ...], every: bool, base: str | None, registry: str | None, as_json: bool) -> None:
    """List images with their environments, and where they are stored."""
    found = [state_of(each) for each in images_named(workload.clone_root(), names, every or not names, base, registry)]
    if as_json:
        print_json(found)
        return
    columns = ("image", "environment", "workloads", "local", "pushed", "digest", "other tags")
    print_table(columns, [(*(str(entry[column.replace(" ", "_")] or "-") for column in columns),) for entry in found])


@image.command()
@of_images
@NETWORK
def check(names: tuple[str, ...], every: bool, base: str | None, registry: str | None, network: str | None) -> None:
    """Run images the way an agent would, and import everything in them.

    An image that is missing on this machine is pulled first.
    """
    from ..images.check import problems_of
    from ..images.engine import Engine

    root = workload.clone_root()
    engine = Engine()
    failures = []
    for each in images_named(root, names, every, base, registry):
        if engine.find(each.reference()) is None and each.is_kept_remotely:
            engine.pull(each.reference(), say)
        options = [f"--network={network}"] if network else []
        problems = problems_of(engine.run, each.reference(), each.name, packages_of(root, each.name), options)
        say(f"{each.reference()}: {'ready for the agent' if not problems else f'{len(problems)} problem(s)'}")
        failures += [f"{each.name}: {problem}" for problem in problems]
    if failures:
        raise ImageCheckError("\n".join(failures))


def time_zone(root: Path) -> dict[str, str]:
    """The build argument for the time zone of logs: TZ, from the environment or .env. Without TZ, the Dockerfile's default holds.

    Raises:
        UsageError: there is no such time zone.
    """
    zone, known = setting(root, "TZ"), zoneinfo.available_timezones()
    if not zone:
        return {}
    if known and zone not in known:
        raise UsageError(f"TZ={zone}: must be the name of a time zone, such as Asia/Tokyo; without TZ, the Dockerfiles' default is used")
    return {"TZ": zone}


def state_of(each: Image) -> dict[str, Any]:
    """The row of `image list` for one image."""
    from ..images import attachments
    from ..images.places import local_image, store_of

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
        "other_tags": " ".join(tag for tag in tags if tag != each.environment and not attachments.TAG.fullmatch(tag)),
    }


def packages_of(root: Path, name: str) -> list[str]:
    """The project's packages that an image's workloads run: the harness, and those that define their settings."""
    declarations = [each for each in workload.discover(root).values() if each.image == name]
    settings = {
        command.config.partition(".")[0].partition(":")[0] for each in declarations for command in each.commands.values() if command.config
    }
    return ["harness", *sorted(settings)]


COMMANDS = (image,)
