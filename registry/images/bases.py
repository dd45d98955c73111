"""Base images. A tag may move to another image, so an environment identifies its base by name and digest.

`registry image pin` asks the base's image registry once and writes NAME:TAG@sha256:.. where the base is named: in the Dockerfile, or
in .env as PYTORCH_TAG, which all images on NVIDIA's PyTorch use. Every machine then reads it from there, with or without an engine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.image import default_base

from .. import render
from ..errors import StoreError, UsageError
from ..image import Image
from .engine import Engine, LocalImage
from .labels import BASE_DIGEST
from .reference import has_digest, read
from .store import ImageStore

FOLLOWED = re.compile(r"^(PYTORCH_TAG=)(\S+)", re.MULTILINE)
NAMED = re.compile(r"^(ARG BASE_IMAGE=)(\S+)", re.MULTILINE)


def present_digest(base: str) -> str | None:
    """The current digest of a base's tag in its image registry; None if there is no such tag.

    Raises:
        StoreError: the registry does not answer, or refuses the request.
    """
    named = read(base)
    return ImageStore(f"{named.host}/{named.path}").digest(named.tag)


def problem_of(each: Image, engine: Engine) -> str | None:
    """Why an image's base cannot be used: it is named only by a tag, which could move to another image in the same environment."""
    base = each.base_name
    if has_digest(base):
        return None
    if not each.has_other_base:
        return f"{each.name}: its base {base} is named by a tag, which may move to another image; run: registry image pin {each.name}"
    local = engine.find(base)
    if local and is_own(local, base):
        return None
    try:
        digest = (local and local.digest_at(base)) or present_digest(base)
    except StoreError as error:
        return (
            f"{each.name}: base {base} must be named with its digest, {base}@sha256:.., which its image registry did not provide: {error}"
        )
    if digest is None:
        return f"{each.name}: base {base} was not found, neither on this machine nor in its image registry"
    return f"{each.name}: base {base} is named by a tag, which may move to another image; name it {base}@{digest}"


def is_own(local: LocalImage, base: str) -> bool:
    """Whether a base exists only in this engine: no registry has a digest for it, so only its name identifies it."""
    digest = local.digest_at(base)
    if digest != local.id:
        return digest is None
    try:  # Docker's newer image store gives every image a digest, from a registry or not
        return present_digest(base) is None
    except StoreError:
        return True


def identity(each: Image, engine: Engine) -> str:
    """The label `BASE_DIGEST` of an image that is built now."""
    if has_digest(each.base_name):
        return each.base_name.partition("@")[2]
    local = engine.find(each.base_name)
    return local.id if local else ""


def moved(each: Image, labels: Mapping[str, str] | None, engine: Engine) -> str | None:
    """A message if the base of an existing image is not the image that has the base's name now."""
    was, now = (labels or {}).get(BASE_DIGEST), identity(each, engine)
    if not was or not now or was == now:
        return None
    return (
        f"{each.reference()} was built on another image of the name {each.base_name} ({was}, now {now}); "
        "--force rebuilds it; otherwise, give the base a name of its own"
    )


def pin(root: Path, names: Sequence[str]) -> list[tuple[str, str, str]]:
    """Write the current digests of images' bases into the clone; return name, base and previous base of each.

    Raises:
        UsageError: lists every base whose digest cannot be found; then nothing is written.
    """
    before = {name: default_base(root, name) for name in names}
    tags = {base: base.partition("@")[0] for base in before.values()}
    digests, problems = {}, []
    for tag in dict.fromkeys(tags.values()):
        try:
            if found := present_digest(tag):
                digests[tag] = found
            else:
                problems.append(f"there is no image {tag} in its image registry")
        except StoreError as error:
            problems.append(f"{tag}: {error}")
    if problems:
        raise UsageError(*problems)
    fixed = {name: f"{tags[base]}@{digests[tags[base]]}" for name, base in before.items()}
    for name, base in fixed.items():
        write_base(root, name, base)
    render.write(root)
    return [(name, fixed[name], base) for name, base in before.items()]


def write_base(root: Path, name: str, base: str) -> None:
    """Write the name of an image's base: into .env if the Dockerfile follows it, or else into the Dockerfile."""
    dockerfile, settings = root / "docker" / name / "Dockerfile", root / ".env"
    text = dockerfile.read_text()
    if render.pytorch_tag(root) and render.on_pytorch(text, "other") != text:
        tag = base.removeprefix(f"{render.PYTORCH}:")
        settings.write_text(FOLLOWED.sub(rf"\g<1>{tag}", settings.read_text()))
    else:
        dockerfile.write_text(NAMED.sub(rf"\g<1>{base}", text, count=1))
