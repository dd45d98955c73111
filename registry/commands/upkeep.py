"""image pin, prune: fixes the base images, and removes images that are no longer needed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from .. import completion, workload
from ..console import print_table, readable, say
from ..errors import RegistryError
from ..image import Image, images_named
from .image import of_images

if TYPE_CHECKING:
    from ..images.prune import Kept


@click.command()
@click.option("--all", "every", is_flag=True, help="Select all images.")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=completion.images)
def pin(names: tuple[str, ...], every: bool) -> None:
    """Pin base images to their current digests.

    The digest of each base's tag is written into the Dockerfile, or into .env. Commit the change. The images then keep their
    bases even if the tags move, until you pin them again.
    """
    from ..images import bases

    root = workload.clone_root()
    images = images_named(root, names, every, None, "")
    rows = bases.pin(root, [each.name for each in images])
    print_table(("image", "base", "previous base"), [(name, now, "unchanged" if now == before else before) for name, now, before in rows])


@click.command()
@of_images
@click.option("--yes", is_flag=True, help="Remove without asking; required where there is no terminal.")
def prune(names: tuple[str, ...], every: bool, base: str | None, registry: str | None, yes: bool) -> None:
    """Remove images that no branch, tag, or active task needs.

    Images are removed from this machine and from the image registry. An image is kept, with the reason, where it cannot be told
    whether it is needed. Space in the image registry becomes free when its own garbage collection runs.
    """
    from ..backends import connect
    from ..images import prune as pruning

    root = workload.clone_root()
    images = images_named(root, names, every, base, registry)
    tasks = pruning.images_of_tasks(connect())
    with pruning.trees_of(root) as trees:
        needs = pruning.Needs(trees, tasks)
        judged = [(kept, pruning.reason_to_keep(kept, needs)) for each in images for kept in kept_images(each)]
    for kept, reason in judged:
        if reason:
            say(f"{kept.place}: {kept.image.repository} {' '.join(kept.tags)}: kept: {reason}")
    unneeded = [kept for kept, reason in judged if not reason]
    rows = [(kept.place, kept.image.repository, " ".join(kept.tags), readable(kept.size)) for kept in unneeded]
    print_table(("where", "image", "tags", "size"), rows)
    if not unneeded or not (yes or confirmed(len(unneeded))):
        return
    remove_all(unneeded)


def kept_images(each: Image) -> list[Kept]:
    """All environments of an image, on this machine and in the image registry."""
    from ..images import prune as pruning
    from ..images.places import engine_here, store_of

    engine, store = engine_here(), store_of(each)
    here = list(pruning.images_here(each, engine)) if engine else []
    return here + (list(pruning.images_stored(each, store)) if store else [])


def confirmed(count: int) -> bool:
    if sys.stdin.isatty():
        return click.confirm(f"Remove {count} image(s)?", err=True)
    say("nothing was removed; to remove without a prompt, add --yes")
    return False


def remove_all(images: list[Kept]) -> None:
    """Remove the images; report every one that cannot be removed."""
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
