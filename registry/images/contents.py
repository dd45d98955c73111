"""Lists what is installed in an image. This file is the program that runs in the image, so it uses the standard library only.

    python3 -         # reads this file from standard input

Its last line is a JSON object: `system` (from /etc/os-release) and `packages`. `contents_of` runs it in a container.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

RESULT = "contents: "
FIELDS = ("${db:Status-Status}", "${Package}", "${Version}", "${Architecture}", "${source:Package}", "${source:Version}")


def debian_packages() -> Iterator[dict[str, str]]:
    """The packages that dpkg has installed; none if there is no dpkg."""
    if shutil.which("dpkg-query") is None:
        return
    done = subprocess.run(["dpkg-query", "--show", "--showformat", "\\t".join(FIELDS) + "\\n"], capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        status, name, version, architecture, source, source_version = line.split("\t")
        if status == "installed":
            yield {"kind": "deb", "name": name, "version": version, "arch": architecture, "upstream": f"{source}@{source_version}"}


def python_packages() -> Iterator[dict[str, str]]:
    """The packages that this interpreter finds. Of two with the same name, the first on the path counts, as for an import."""
    found = set()
    for each in importlib.metadata.distributions():
        name, licences = each.metadata["Name"], each.metadata.get_all("License-Expression")
        if name and each.version and name.lower() not in found:
            found.add(name.lower())
            yield {
                "kind": "pypi",
                "name": name,
                "version": each.version,
                "licence": licences[0] if licences else "",
            }


def contents() -> dict[str, Any]:
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    return {"system": system, "packages": [*debian_packages(), *python_packages()]}


def contents_of(run: Callable[..., subprocess.CompletedProcess[str]], reference: str) -> dict[str, Any]:
    """Run the program in a container of an image.

    Args:
        run: `Engine.run`.

    Raises:
        ValueError: the program failed; the message has the container's output.
    """
    script = f"${{LOCAL_PYTHON:-python3}} - <<'PROGRAM'\n{Path(__file__).read_text()}\nPROGRAM"
    done = run(reference, ["bash", "-c", script], ["--network=none"])
    lines = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
    if not lines:
        raise ValueError(f"the container ended with exit code {done.returncode}: {' '.join((done.stderr or done.stdout).split())[-400:]}")
    found: dict[str, Any] = json.loads(lines[-1].removeprefix(RESULT))
    return found


if __name__ == "__main__":
    print(RESULT + json.dumps(contents()))
