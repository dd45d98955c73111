"""dataset create, list, get, ensure, check, show."""

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
    """Create, list, download, check and show datasets."""


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

    click.echo(catalog.local_copy(finished(reference)))


def finished(reference: str) -> str:
    """The ID of a finished dataset, given its ID or name."""
    from .. import catalog
    from ..backends import connect

    identifier, problem = catalog.problem_of(connect(), reference, catalog.load(workload.clone_root()))
    if problem:
        raise UsageError(problem)
    return identifier


def on_this_machine(reference: str) -> tuple[Path, str | None]:
    """The folder that a reference names, or that holds a copy of the dataset that it names, and the dataset's ID."""
    from .. import catalog

    if Path(reference).is_dir():
        return Path(reference), None
    if "/" in reference:
        raise UsageError(f"{reference}: there is no such folder")
    identifier = finished(reference)
    return Path(catalog.local_copy(identifier)), identifier


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


@dataset.command()
@click.argument("reference", metavar="FOLDER_OR_ID", shell_complete=completion.datasets)
@click.option("--form", metavar="FORM", help="Form of the data: coco, voc, masks, ..  [default: what the folder's contents say]")
@click.option("--classes", type=int, metavar="N", help="The number of classes that training will be given.")
@click.option("--allow", metavar="CODE", multiple=True, help="Treat this kind of error as a warning; may be repeated.")
@click.option("--deep", is_flag=True, help="Decode all images, and read all masks.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def check(reference: str, form: str | None, classes: int | None, allow: tuple[str, ...], deep: bool, as_json: bool) -> None:
    """Check a dataset for detection or segmentation.

    Prints its splits and classes, and everything that is wrong with it. An error, which makes training or its scores wrong, sets the exit
    code to 1. A warning is only odd. The code of each finding is in brackets.
    """
    from toolboxes.data import check as examine

    folder, _ = on_this_machine(reference)
    report = examine(folder, form, deep=deep, allow=allow, classes=classes)
    if as_json:
        print_json(report.stated())
    else:
        click.echo("\n".join(report.lines()))
    if report.errors:
        sys.exit(1)


@dataset.command()
@click.argument("reference", metavar="FOLDER_OR_ID", shell_complete=completion.datasets)
@click.option("--split", metavar="SPLIT", help="Samples of this split only.")
@click.option("--count", type=click.IntRange(1, 400), default=16, show_default=True, help="Number of samples.")
@click.option("--output", type=click.Path(path_type=Path), default="page.png", show_default=True, help="File to write.")
@click.option("--form", metavar="FORM", help="Form of the data: coco, voc, masks, ..  [default: what the folder's contents say]")
def show(reference: str, split: str | None, count: int, output: Path, form: str | None) -> None:
    """Draw samples of a dataset with their boxes, masks and class names.

    Writes them as one page, and prints its path. Those of a dataset on the server also become debug samples of the dataset's task.
    """
    from toolboxes.data import check as examine
    from toolboxes.data import pictures, save

    from .. import catalog

    folder, identifier = on_this_machine(reference)
    report = examine(folder, form)
    if split not in (None, *report.dataset.splits):
        raise UsageError(f"--split {split}: there is no such split; available: {', '.join(report.dataset.splits)}")
    samples = list(pictures(report.dataset, split, count))
    if not samples:
        raise RegistryError(f"{folder}: none of its images can be read; what is wrong: registry dataset check {reference}")
    save(report.dataset, samples, output)
    if identifier is not None:
        catalog.report_samples(identifier, samples)
        say(f"{len(samples)} debug samples are shown by the task {identifier}")
    if report.errors:
        warn([f"{len(report.errors)} kinds of errors; to see them: registry dataset check {reference}"])
    click.echo(output)


COMMANDS = (dataset,)
