"""image sbom: what an image holds."""

from __future__ import annotations

import click

from .. import workload
from ..console import say
from ..errors import UsageError
from ..image import images_named
from .image import of_images, store_of


@click.command()
@of_images
def sbom(names: tuple[str, ...], every: bool, base: str | None, place: str | None) -> None:
    """Print the SBOM of an image, a JSON document of CycloneDX: every package of Debian and Python that it holds.

    It is the one that was pushed with the image. Of an image that is on this machine alone it is made anew.
    """
    from ..images import attachments
    from ..images.engine import Engine
    from ..images.sbom import of_image

    images = images_named(workload.clone_root(), names, every, base, place)
    if len(images) != 1:
        raise UsageError(f"one image has one SBOM, these are {len(images)}: {', '.join(each.name for each in images)}")
    (each,) = images
    store = store_of(each)
    digest = store.digest(each.environment) if store else None
    text = attachments.attached(store, digest) if store and digest else None
    if text is None:
        engine = Engine()
        local = engine.find(each.reference())
        if local is None:
            raise UsageError(
                f"{each.reference()} is not on this machine, and no image registry has its SBOM: registry image build {each.name}"
            )
        say(f"{each.reference()}: of the image on this machine")
        text = of_image(engine, each, local, local.digest_at(each.repository) or local.id)
    click.echo(text, nl=False)


COMMANDS = (sbom,)
