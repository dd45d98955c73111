"""new: a folder for a workload, of its own code or around a script that stays as it is."""

from __future__ import annotations

from typing import Any

import click

from .. import completion, workload
from ..console import say
from ..errors import UsageError


@click.command()
@click.argument("name")
@click.option("--from", "source", metavar="SOURCE", help="Script to run as it is: a path, or URL@COMMIT[:path/script.py].")
@click.option("--image", metavar="IMAGE", shell_complete=completion.images, help="Image with the script's packages; by default a new one.")
@click.option("--python", metavar="PYTHON", help="Interpreter that has the script's packages, to read its options with.")
@click.option("--queue", metavar="QUEUE", default="gpu01", show_default=True, shell_complete=completion.queues, help="Queue of its runs.")
@click.option(
    "--option",
    "options",
    metavar="KEY=OPTION",
    multiple=True,
    help="Option of the script that takes dataset_id, output_dir, seed, resume or init_from; may be repeated.",
)
@click.option("--free", is_flag=True, help="Take the script without reading its options: arguments=[..] passes words on.")
@click.option("--refresh", is_flag=True, help="Read the options of a workload's scripts again.")
def new(name: str, source: str | None, python: str | None, refresh: bool, **chosen: Any) -> None:
    """Make a workload: its folder, or one around a script.

    With --from, a script that uses argparse, click or Hydra is declared with its options: types, defaults, choices and help. It is taken
    as far as its parser for that, and not changed. Everything is checked before a file is written.
    """
    from ..new.making import Wanted, make
    from ..new.options_file import refreshed

    root = workload.clone_root()
    if not refresh:
        notes = make(Wanted(name, source, python=python, **chosen), root)
        say(f"made clearml_tasks/{name}; what it takes: registry show {name}")
        say(f"try it: python clearml_tasks/{name}/clearml_train.py config=smoke")
    elif source or any(chosen[key] for key in ("image", "options", "free")):
        raise UsageError("--refresh cannot be combined with --from, --image, --option or --free: it reads what is declared")
    else:
        notes = refreshed(workload.named(name, workload.discover(root)), root, python)
    for note in notes:
        say(note)


COMMANDS = (new,)
