"""The project as a whole: it installs, its README is true, its lists do not drift from its folders."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from registry.environment import OWN, ROOT, image_names, layer_named


def test_every_package_is_installed() -> None:
    stated = configparser.ConfigParser()
    stated.read(ROOT / "setup.cfg")
    packages = set(stated["options"]["packages"].split())
    found = [path.parent.relative_to(ROOT / "src") for path in (ROOT / "src").rglob("__init__.py")]
    found += [path.parent.relative_to(ROOT) for path in (ROOT / "registry").rglob("__init__.py")]
    assert packages == {path.as_posix().replace("/", ".") for path in found}


@pytest.mark.slow
def test_pip_install_from_another_folder(tmp_path: Path) -> None:
    """Slow: pip fetches the build tool. The command and every file of the packages, of whatever kind, must arrive."""
    copy = tmp_path / "copy"  # pip leaves a build folder in the source
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    target = tmp_path / "installed"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", target, copy], cwd=tmp_path, check=True, capture_output=True
    )
    assert (target / "bin" / "registry").exists()
    shipped = {
        name.removeprefix("src/") for name in listed.split("\0") if name.startswith(("src/", "registry/")) and (ROOT / name).is_file()
    }
    assert {Path(name).suffix for name in shipped} >= {".py", ".yaml", ".json", ".txt", ".html", ".js", ".css", ".svg", ".stl", ".urdf"}
    assert shipped - {path.relative_to(target).as_posix() for path in target.rglob("*")} == set()


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
