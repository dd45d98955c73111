"""Shell completion of workloads, keys, values and tasks. click makes the shells' part: `_REGISTRY_COMPLETE=bash_source registry`.

Nothing here may print, fail, or wait for a server that does not answer: what cannot be found out is not offered.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import click
from click.shell_completion import BashComplete, CompletionItem, ZshComplete, add_completion_class

from . import statuses, workload

Offer = tuple[str, str]
"""A word and its meaning."""
Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]

TASKS = 100
"""The number of tasks that are offered: the newest ones."""


def offering(offers: Callable[[click.Context, str], Iterable[Offer]]) -> Completer:
    """A click completer that offers the words which begin with the one at the cursor."""

    @functools.wraps(offers)
    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        with contextlib.suppress(Exception), context.scope(cleanup=False), silence():
            return [
                CompletionItem(word, help=meaning or None) for word, meaning in offers(context, incomplete) if word.startswith(incomplete)
            ]
        return []

    return complete


@contextlib.contextmanager
def silence() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


@offering
def workloads(context: click.Context, incomplete: str) -> Iterator[Offer]:
    yield from ((name, found.summary) for name, found in workload.discover(workload.clone_root()).items())


@offering
def images(context: click.Context, incomplete: str) -> Iterator[Offer]:
    from .environment import image_names

    yield from ((name, "") for name in image_names(workload.clone_root()))


@offering
def queues(context: click.Context, incomplete: str) -> Iterator[Offer]:
    yield from ((name, "") for name in workload.queues_of(workload.clone_root()))


@offering
def datasets(context: click.Context, incomplete: str) -> Iterator[Offer]:
    yield from known_datasets()


@offering
def tasks(context: click.Context, incomplete: str) -> Iterator[Offer]:
    yield from known_tasks()


@offering
def stoppable(context: click.Context, incomplete: str) -> Iterator[Offer]:
    yield from known_tasks(status=list(statuses.ACTIVE))


@offering
def arguments(context: click.Context, incomplete: str) -> Iterator[Offer]:
    """`key=`, and after the sign the possible values of the key; in a sweep, those of the next value.

    bash splits `key=value` into three words, the last of which is the one at the cursor; other shells keep it whole.
    """
    from .enqueue.values import keys_of, values_of

    declaration = workload.named(context.params["name"], workload.discover(workload.clone_root()))
    *before, last = rejoined([*(context.params.get("arguments") or ()), ""])
    if not last and before and "=" not in before[-1]:
        last = f"{before.pop()}="  # bash, directly after the sign
    key, sign, value = (last + incomplete).partition("=")
    if not sign:
        given = {argument.partition("=")[0] for argument in before}
        yield from ((f"{name}=", meaning) for name, meaning in keys_of(declaration, before) if name not in given)
        return
    earlier, comma, _ = value.rpartition(",")
    begin = f"{'' if last else f'{key}='}{earlier}{comma}"
    for offered, meaning in values_of(declaration, before, key, known_datasets, known_tasks):
        yield f"{begin}{offered}", meaning


def rejoined(words: Sequence[str]) -> list[str]:
    """Arguments as they were typed: bash splits them before and after `=`. The last word is what precedes the one at the cursor."""
    whole: list[str] = []
    glued = False
    for word in words:
        if whole and (word == "=" or glued):
            whole[-1] += word
        else:
            whole.append(word)
        glued = word == "="
    return whole


def known_datasets() -> Iterator[Offer]:
    from . import catalog

    yield from ((alias, entry.summary) for alias, entry in catalog.load(workload.clone_root()).items())


def known_tasks(**filters: Any) -> Iterator[Offer]:
    """Tasks by their IDs, as `registry status` prints them."""
    from .backends import connect
    from .tasks.lookup import short_id

    found = connect().tasks(page=0, page_size=TASKS, system_tags=["-dataset"], only_fields=["id", "name", "status"], **filters)
    yield from ((short_id(task), f"{task['name']}, {task['status']}") for task in found)


def changed(template: str, *changes: tuple[str, str]) -> str:
    """A shell script with some of its text replaced."""
    for before, after in changes:
        assert before in template
        template = template.replace(before, after)
    return template


class Bash(BashComplete):
    """click's completion, but without a space after a key's `=`."""

    source_template = changed(
        BashComplete.source_template, ("    return 0\n", "    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n    return 0\n")
    )


class Zsh(ZshComplete):
    """The same for zsh."""

    source_template = changed(
        ZshComplete.source_template,
        ("    local -a response\n", "    local -a response glue\n"),
        (
            "    for type key descr in ${response}; do\n",
            '    for type key descr in ${response}; do\n        [[ "$key" == *= ]] && glue=(-S "")\n',
        ),
        ("completions_with_descriptions -U\n", 'completions_with_descriptions -U "${glue[@]}"\n'),
        ("compadd -U", 'compadd "${glue[@]}" -U'),
    )


for shell in (Bash, Zsh):
    add_completion_class(shell)
