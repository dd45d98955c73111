"""image pin, prune: what images stand on, and those that nothing needs any more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from .. import completion, workload
from ..console import print_table, say
from ..errors import RegistryError
from ..image import Image, images_named
from .image import engine_here, of_images, readable, store_of

if TYPE_CHECKING:
    from ..images.prune import Kept


@click.command()
@click.option("--all", "every", is_flag=True, help="All images.")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=completion.images)
def pin(names: tuple[str, ...], every: bool) -> None:
    """Fix what images stand on: write the digest that each base's tag has now to its Dockerfile, or to .env.

    To be committed. From then on the tag may move: the images do not, until this is typed again.
    """
    from ..images import bases

    root = workload.clone_root()
    images = images_named(root, names, every, None, "")
    rows = bases.pin(root, [each.name for each in images])
    print_table(("image", "base", "before"), [(name, now, "the same" if now == before else before) for name, now, before in rows])


@click.command()
@of_images
@click.option("--yes", is_flag=True, help="Remove without asking; without a terminal nothing is removed otherwise.")
def prune(names: tuple[str, ...], every: bool, base: str | None, place: str | None, yes: bool) -> None:
    """Remove images whose environment no branch, no tag and no task needs that waits or runs, here and in the image registry.

    What cannot be judged stays, and is told. The registry's own garbage collection then makes the room free.
    """
    from ..backends import connect
    from ..images import prune as pruning

    root = workload.clone_root()
    images = images_named(root, names, every, base, place)
    tasks = pruning.images_of_tasks(connect())
    with pruning.trees_of(root) as trees:
        needs = pruning.Needs(trees, tasks)
        judged = [(kept, pruning.reason_to_keep(kept, needs)) for each in images for kept in kept_images(each)]
    for kept, reason in judged:
        if reason:
            say(f"{kept.place}: {kept.image.repository} {' '.join(kept.tags)}: stays, {reason}")
    unneeded = [kept for kept, reason in judged if not reason]
    rows = [(kept.place, kept.image.repository, " ".join(kept.tags), readable(kept.size)) for kept in unneeded]
    print_table(("where", "image", "tags", "size"), rows)
    if not unneeded or not (yes or confirmed(len(unneeded))):
        return
    remove_all(unneeded)


def kept_images(each: Image) -> list[Kept]:
    """The images of an environment, here and in the image registry."""
    from ..images import prune as pruning

    engine, store = engine_here(), store_of(each)
    here = list(pruning.images_here(each, engine)) if engine else []
    return here + (list(pruning.images_stored(each, store)) if store else [])


def confirmed(count: int) -> bool:
    if sys.stdin.isatty():
        return click.confirm(f"Remove {count}?", err=True)
    say("nothing was removed: --yes")
    return False


def remove_all(images: list[Kept]) -> None:
    """Remove what can be removed, and tell all that cannot."""
    from ..errors import EngineError, StoreError

    failures = []
    for kept in images:
        try:
            kept.remove()
        except (EngineError, StoreError) as error:
            failures.append(str(error))
    say(f"removed {len(images) - len(failures)} of {len(images)}")
    if failures:
        raise RegistryError("\n".join(dict.fromkeys(failures)))


COMMANDS = (pin, prune)
