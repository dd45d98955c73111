"""image sbom: lists what an image contains."""

from __future__ import annotations

import click

from .. import workload
from ..console import say
from ..errors import UsageError
from ..image import images_named
from .image import of_images


@click.command()
@of_images
def sbom(names: tuple[str, ...], every: bool, base: str | None, registry: str | None) -> None:
    """Print the SBOM of an image, in CycloneDX JSON.

    It lists every Debian and Python package in the image. If the image was pushed, this is the SBOM that was pushed with it; for an
    image that is only on this machine, it is generated.
    """
    from ..images import attachments
    from ..images.engine import Engine
    from ..images.places import store_of
    from ..images.sbom import of_image

    images = images_named(workload.clone_root(), names, every, base, registry)
    if len(images) != 1:
        raise UsageError(f"name exactly one image; these are {len(images)}: {', '.join(each.name for each in images)}")
    (each,) = images
    store = store_of(each)
    digest = store.digest(each.environment) if store else None
    text = attachments.attached(store, digest) if store and digest else None
    if text is None:
        engine = Engine()
        local = engine.find(each.reference())
        if local is None:
            raise UsageError(
                f"{each.reference()} is not on this machine, and no image registry has its SBOM; build it: registry image build {each.name}"
            )
        say(f"{each.reference()}: generated from the image on this machine")
        text = of_image(engine, each, local, local.digest_at(each.repository) or local.id)
    click.echo(text, nl=False)


COMMANDS = (sbom,)
