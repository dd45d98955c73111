"""image build, push, list, check."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import completion, workload
from ..console import print_json, print_table, say
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
    """Build, push, list, check and remove images, and fix what they stand on."""


def of_images(command: Command) -> Command:
    """The arguments that say which images are meant, and where they are kept."""
    for option in (
        click.option(
            "--registry", "place", metavar="HOST/NAMESPACE", help="Image registry.  [default: $IMAGE_REGISTRY; none: this machine's engine]"
        ),
        click.option("--base", metavar="IMAGE", help="Image to stand on.  [default: $BASE_IMAGE, else what each Dockerfile names]"),
        click.option("--all", "every", is_flag=True, help="All images."),
        click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=completion.images),
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

    An image whose environment the image registry has already is not built again: its code comes with each run. A base is named with
    its digest (registry image pin), unless it is this engine's alone.
    """
    from ..images import bases, labels
    from ..images.engine import Engine

    root = workload.clone_root()
    images = images_named(root, names, every, base, place)
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
            say(f"{each.reference()}: the image registry has this environment already; --force builds it all the same")
            rows.append((each.reference(), f"{readable(there.size)} packed", there.digest))
        else:
            local = built(each, contexts[each], arguments, {labels.BASE_DIGEST: bases.identity(each, engine)}, engine, network)
            rows.append((each.reference(), readable(local.size), local.id))
    print_table(("image", "size", "digest"), rows)


def built(
    each: Image, context: Context, arguments: Mapping[str, str], labels: Mapping[str, str], engine: Engine, network: str | None
) -> LocalImage:
    """Build an image under its environment, `latest`, and the commit where it holds one's code."""
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
@click.option("--force", is_flag=True, help="Replace another image that the image registry has under the same environment.")
def push(names: tuple[str, ...], every: bool, base: str | None, place: str | None, force: bool) -> None:
    """Push images under their environment, the commit whose code they hold, and `latest`, each with its SBOM.

    Prints size and digest of each, and what was done.
    """
    from ..images.engine import Engine
    from ..images.store import ImageStore

    images = images_named(workload.clone_root(), names, every, base, place)
    if local_only := [each.name for each in images if not each.is_kept_remotely]:
        raise UsageError(f"where to push {', '.join(local_only)}? --registry HOST/NAMESPACE, or set IMAGE_REGISTRY")
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
    print_table(("image", "size", "digest", "done"), rows)


def objection(each: Image, local: LocalImage | None, stored: Stored | None, force: bool) -> str | None:
    """Why an image may not be pushed."""
    build = f"registry image build {each.name}"
    if local is None:
        return (
            None if stored and not force else f"{each.name} is not built in its present environment: {build}{' --force' if stored else ''}"
        )
    if stored is None or force or is_same(local, stored):
        return None
    return (
        f"{each.reference()}: the image registry has another image under this environment, {stored.digest}; "
        f"the one here is {local.digest_at(each.repository) or local.id}: push --force replaces it"
    )


def commit_tag(each: Image, store: ImageStore) -> list[str]:
    """The tag by commit of an image in its registry: that of the code it holds, be it the present commit's or an earlier one's."""
    held, head = commit_in(store.labels(each.environment) or {}), git(each.root, "rev-parse", "HEAD")
    if held != head:
        code = f"the code of {held}" if held else "code that was not committed"
        say(f"{each.reference()}: no tag by commit {head}: the image holds {code}")
    return [held] if held else []


def describe(each: Image, store: ImageStore, stored: Stored, engine: Engine) -> None:
    """Lay the SBOM of an image beside it, if it is not there yet."""
    from ..images import attachments, sbom

    local = engine.find(each.reference())
    if store.digest(attachments.tag_of(stored.digest)):
        return
    if local is None or not is_same(local, stored):
        say(f"warning: {each.reference()} has no SBOM, and is not here to be looked into: docker pull, then push again")
        return
    try:
        contents = sbom.of_image(engine, each, local, stored.digest)
    except EngineError as error:  # an image without Python: it is pushed all the same
        say(f"warning: {each.reference()} has no SBOM: {error}")
        return
    attachments.attach(store, stored.digest, contents)


def is_same(local: LocalImage, stored: Stored) -> bool:
    """Whether the engine's image is the one that the image registry has."""
    return local.id in stored.identities


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
    from ..images.check import problems_of
    from ..images.engine import Engine

    root = workload.clone_root()
    engine = Engine()
    failures = []
    for each in images_named(root, names, every, base, place):
        if engine.find(each.reference()) is None and each.is_kept_remotely:
            engine.pull(each.reference(), say)
        options = [f"--network={network}"] if network else []
        problems = problems_of(engine.run, each.reference(), each.name, packages_of(root, each.name), options)
        say(f"{each.reference()}: {'ready for the agent' if not problems else f'{len(problems)} problem(s)'}")
        failures += [f"{each.name}: {problem}" for problem in problems]
    if failures:
        raise ImageCheckError("\n".join(failures))


def store_of(each: Image) -> ImageStore | None:
    """The image registry's repository of an image, or None for one that is kept on this machine alone."""
    from ..images.store import ImageStore

    return ImageStore(each.repository) if each.is_kept_remotely else None


def stored_image(each: Image) -> Stored | None:
    """The image in its present environment, as the image registry has it."""
    store = store_of(each)
    return store.find(each.environment) if store else None


def time_zone(root: Path) -> dict[str, str]:
    """The build argument for the local time of the images' logs: TZ, of the environment or of .env; nothing leaves the Dockerfile's.

    Raises:
        UsageError: for a name that no time zone has.
    """
    zone, known = setting(root, "TZ"), zoneinfo.available_timezones()
    if not zone:
        return {}
    if known and zone not in known:
        raise UsageError(f"TZ={zone}: must be a time zone by its name, such as Asia/Tokyo; unset, the images have their Dockerfile's")
    return {"TZ": zone}


def state_of(each: Image) -> dict[str, Any]:
    """What `image list` tells of one image."""
    from ..images import attachments

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


def labels_of(each: Image, engine: Engine) -> Mapping[str, str] | None:
    """The labels of the image in its present environment: the image registry's, else the engine's."""
    store = store_of(each)
    local = engine.find(each.reference())
    return (store.labels(each.environment) if store else None) or (local.labels if local else None)


def engine_here() -> Engine | None:
    """This machine's engine; where there is none, a warning says so."""
    from ..errors import EngineError
    from ..images.engine import Engine

    try:
        return Engine()
    except EngineError as error:
        say(f"warning: {error}")
        return None


def local_image(each: Image) -> LocalImage | None:
    """The image as this machine's engine has it; a machine without an engine has none."""
    engine = engine_here()
    return engine.find(each.reference()) if engine else None


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
