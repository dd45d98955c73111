"""The project as a whole: it installs, its README is true, its lists do not drift from its folders."""

from __future__ import annotations

import configparser

import pytest

from registry.environment import OWN, ROOT, image_names, layer_named


def test_every_package_is_installed() -> None:
    stated = configparser.ConfigParser()
    stated.read(ROOT / "setup.cfg")
    packages = set(stated["options"]["packages"].split())
    found = [path.parent.relative_to(ROOT / "src") for path in (ROOT / "src").rglob("__init__.py")]
    found += [path.parent.relative_to(ROOT) for path in (ROOT / "registry").rglob("__init__.py")]
    assert packages == {path.as_posix().replace("/", ".") for path in found}


@pytest.mark.parametrize("name", [*OWN, *image_names()])
def test_every_requirement_is_pinned_and_pins_agree(name: str) -> None:
    layer = layer_named(name)
    pins: dict[str, str] = {}
    for file in [layer.requirements, *(below.requirements for below in layer.below)]:
        for line in file.read_text().splitlines():
            if line.strip() and not line.startswith("#"):
                package, sign, version = line.partition("==")
                assert sign, f"{file}: {line}"
                assert pins.setdefault(package.lower(), version) == version, f"{package} is pinned twice, to different versions"
