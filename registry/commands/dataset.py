"""dataset create, list, get, ensure."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from .. import completion, workload
from ..console import notes, print_json, print_table, say, warn
from ..errors import RegistryError, UsageError
from ..run import DATASET_PROJECT


@click.group()
def dataset() -> None:
    """Create, list and download datasets."""


@dataset.command()
@click.argument("name")
@click.option("--folder", required=True, type=click.Path(path_type=Path), help="Folder with the files of the dataset.")
@click.option("--project", metavar="PROJECT", help=f"Project of the dataset.  [default: {DATASET_PROJECT}]")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Tag for the dataset; may be repeated.")
@click.option("--subset", metavar="RECIPE", help="Publish only the subset that this recipe selects.")
@click.option("--leave-out", is_flag=True, help="Leave out what a dataset cannot store, such as broken links.")
def create(name: str, folder: Path, project: str | None, tags: tuple[str, ...], subset: str | None, leave_out: bool) -> None:
    """Publish a folder as a dataset, and print its ID.

    A dataset stores the names and contents of files. Links are followed; whatever cannot be stored is listed before anything is uploaded.
    """
    from .. import catalog, subsets
    from ..backends import connect

    project = DATASET_PROJECT if project is None else project
    cut = subsets.recipe(subset) if subset else None
    tree = catalog.check_new(name, folder, project, leave_out=leave_out)
    connect()
    with tempfile.TemporaryDirectory() as small:
        if cut is not None:
            cut(folder, Path(small))
            tree = catalog.check_new(name, Path(small), project, leave_out=leave_out)
        warn(catalog.remarks_on(tree))
        click.echo(catalog.create(name, tree, project, tags))


@dataset.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
def list_command(as_json: bool) -> None:
    """List the datasets on the server, and those that can be made."""
    from dataclasses import asdict

    from .. import catalog
    from ..backends import connect

    found = catalog.query(connect())
    if as_json:
        print_json([asdict(each) for each in found])
        return
    print_table(
        ("ID", "name", "version", "project", "status", "created"),
        [(each.id, each.name, each.version, each.project, each.status, each.created[:19]) for each in found],
        whole=["ID", "name"],
    )
    names = {each.name for each in found if each.is_finished}
    for alias, entry in catalog.load(workload.clone_root()).items():
        if alias not in names:
            say(f"not made yet: {alias} ({entry.summary}); to make it: registry dataset ensure {alias}")


@dataset.command()
@click.argument("reference", metavar="ID_OR_ALIAS", shell_complete=completion.datasets)
def get(reference: str) -> None:
    """Download a dataset into the cache, and print its folder."""
    from .. import catalog
    from ..backends import connect

    server = connect()
    identifier, problem = catalog.problem_of(server, reference, catalog.load(workload.clone_root()))
    if problem:
        raise UsageError(problem)
    click.echo(catalog.local_copy(identifier))


@dataset.command()
@click.argument("alias", shell_complete=completion.datasets)
@click.option("--queue", metavar="QUEUE", help="Queue for the run that makes the dataset.  [default: the workload's]")
@click.option("--image", metavar="TAG", help="Image of the run that makes the dataset: a tag, or a complete image name.")
def ensure(alias: str, queue: str | None, image: str | None) -> None:
    """Print the ID of a catalogue dataset; make it if it is missing.

    A task makes the dataset, as the catalogue declares; this command waits for it.
    """
    from .. import catalog
    from ..backends import connect
    from ..enqueue.request import Request
    from ..enqueue.submission import prepare, submit
    from ..tasks.watch import wait

    root = workload.clone_root()
    server = connect()
    entry = catalog.entry_named(alias, catalog.load(root))
    found = catalog.find(server, alias)
    if found is None or not found.is_finished:
        building = catalog.being_made(server, entry)
        if building is None:
            request = Request(entry.workload, entry.arguments, queue, name=f"make {alias}", image=image, tags=(entry.tag,))
            submission = prepare(request, root, server)
            warn(submission.warnings)
            building = submit(submission, server)[0]["id"]
        say(f"{alias}: task {building} is making it")
        wait(server, [building], notes)
        found = catalog.find(server, alias)
    if found is None or not found.is_finished:
        raise RegistryError(f"{alias}: its task completed without publishing a dataset of that name")
    click.echo(found.id)
    sys.stdout.flush()


COMMANDS = (dataset,)
