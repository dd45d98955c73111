"""compose: starts containers of the images by hand."""

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
    """Run docker-compose on docker/compose.yaml as the current user.

    It passes on your user ID, the commit and the images' environments. For example: `registry compose build clip`, then
    `registry compose up -d clip` and `registry compose exec clip /bin/bash`.
    """
    root = workload.clone_root()
    command = [*program(), *arguments]
    variables = {**os.environ, **person(), **origins([Image(name, root) for name in image_names(root)], arguments)}
    variables.pop("SUDO_USER", None)  # `person` has read it
    os.chdir(root)
    os.execvpe(command[0], command, variables)


def origins(images: list[Image], arguments: Sequence[str]) -> dict[str, str]:
    """The commit and environment that each image would have if built now. Compose sends the whole folder, untracked files included."""
    from ..render import variable  # slow to import

    found = {}
    for each in images:
        context = Context(each.root, each.dockerfile)
        if not context.changes and context.commit:
            found[variable(each.name, "COMMIT")] = context.commit
        if not context.untracked:
            found[variable(each.name, "ENVIRONMENT")] = each.environment
        if context.changes and "build" in arguments and service_name(each.name) in arguments:
            lost = "neither a commit nor an environment" if context.untracked else "no commit"
            files = few(list(context.changes))
            say(f"warning: {each.name}: the image will be labelled with {lost}, because these files differ from HEAD: {files}")
    return found


def program() -> list[str]:
    """Compose version 2, as a plug-in of the docker command, or else version 1.

    Raises:
        EngineError: there is neither.
    """
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise EngineError("docker-compose is not installed: apt-get install docker-compose, or see https://docs.docker.com/compose/install/")


def person() -> dict[str, str]:
    """The user at the terminal (under sudo, the one who typed the command) as variables of docker/compose.yaml."""
    under_sudo = os.getuid() == 0 and "SUDO_UID" in os.environ
    user, group = (int(os.environ[name]) for name in ("SUDO_UID", "SUDO_GID")) if under_sudo else (os.getuid(), os.getgid())
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = f"user-{user}"
    # Compose allows fewer characters in a project's name than a user's name may have
    return {"UID": str(user), "GID": str(group), "USER": re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_") or f"user-{user}"}


COMMANDS = (compose,)
