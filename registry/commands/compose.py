"""compose: containers of the images, to try things out by hand."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Sequence

import click

from .. import workload
from ..console import say
from ..environment import image_names
from ..errors import EngineError
from ..findings import few
from ..image import Image, service_name
from ..images.context import Context


@click.command(add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def compose(arguments: tuple[str, ...]) -> None:
    """docker-compose for docker/compose.yaml, told who you are, the commit and the environments.

    `registry compose build clip`, then `up -d clip` and `exec clip /bin/bash`: containers of your own, whose processes are yours.
    """
    root = workload.clone_root()
    command = [*program(), *arguments]
    variables = {**os.environ, **person(), **origins([Image(name, root) for name in image_names(root)], arguments)}
    variables.pop("SUDO_USER", None)  # the person is known already
    os.chdir(root)
    os.execvpe(command[0], command, variables)


def origins(images: list[Image], arguments: Sequence[str]) -> dict[str, str]:
    """What each image would be made of if it were built now. Compose sends a folder as it is: with files that git does not track, too."""
    from ..render import variable  # slow to import

    found = {}
    for each in images:
        context = Context(each.root, each.dockerfile)
        if not context.changes and context.commit:
            found[variable(each.name, "COMMIT")] = context.commit
        if not context.untracked:
            found[variable(each.name, "ENVIRONMENT")] = each.environment
        if context.changes and "build" in arguments and service_name(each.name) in arguments:
            lost = "no commit, and no environment" if context.untracked else "no commit"
            say(f"warning: {each.name}: the image will name {lost}: {few(list(context.changes))} differs from HEAD")
    return found


def program() -> list[str]:
    """Compose in its second version, as the docker command's plug-in, or the first.

    Raises:
        EngineError: there is neither.
    """
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise EngineError("there is no docker-compose: apt-get install docker-compose, or see https://docs.docker.com/compose/install/")


def person() -> dict[str, str]:
    """The person at the terminal, under sudo the one who typed it, in variables of docker/compose.yaml."""
    under_sudo = os.getuid() == 0 and "SUDO_UID" in os.environ
    user, group = (int(os.environ[name]) for name in ("SUDO_UID", "SUDO_GID")) if under_sudo else (os.getuid(), os.getgid())
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = f"user-{user}"
    # Names of projects are narrower than those of people
    return {"UID": str(user), "GID": str(group), "USER": re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_") or f"user-{user}"}


COMMANDS = (compose,)
