"""Aliases from the original project: a sweep over one makes different runs, tasks record only the key, and `show` lists them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command_line import Registry, parse_clearml_task

TABLES = """\
aliases: {train.seed: seed, count: n, numbers: dataset_path}
fixed: {kind: {values: [one, two], why: there is one kind}}
refused: {gpu: nproc_per_node=N starts N processes}
"""

pytestmark = pytest.mark.usefixtures("no_server")


@pytest.fixture(autouse=True)
def tables(clone: Path) -> None:
    with (clone / "clearml_tasks/toy/workload.yaml").open("a") as file:
        file.write(TABLES)


def dry(registry: Registry, *arguments: str) -> list[dict[str, str]]:
    """The arguments of each task that would be created."""
    outcome = registry("enqueue", "toy", *arguments, "--dry-run")
    assert outcome.code == 0, outcome.err
    return [dict(given.split("=", 1) for given in parse_clearml_task(line).args) for line in outcome.lines]


def test_a_sweep_over_an_alias_makes_different_runs(registry: Registry) -> None:
    runs = dry(registry, "numbers=/data", "train.seed=1,2,3")
    assert runs == [{"command": "train", "dataset_path": "/data", "seed": seed} for seed in "123"]


def test_a_sweep_that_makes_the_same_run_twice_is_refused(registry: Registry) -> None:
    outcome = registry("enqueue", "toy", "dataset_path=/data", "kind=one,two", "--dry-run")
    assert outcome.code == 2
    assert "the sweep contains the same run twice, as 'toy-train kind=one' and 'toy-train kind=two'" in outcome.err


def test_a_setting_without_effect_is_reported_once(registry: Registry) -> None:
    outcome = registry("enqueue", "toy", "dataset_path=/data", "kind=one", "seed=1,2", "--dry-run")
    assert outcome.err.count("kind=one has no effect: there is one kind") == 1
    assert "kind" not in outcome.out


def test_smoke_steps_accept_aliases(registry: Registry) -> None:
    make, train = registry("enqueue", "toy", "--smoke", "train.seed=3", "count=7", "--dry-run").lines
    assert "--args command=make seed=3 n=7" in make
    assert "seed=3" in train
    assert "n=7" not in train


def test_show_lists_the_aliases(registry: Registry) -> None:
    shown = [" ".join(line.split()) for line in registry("show", "toy").lines]
    assert {"train.seed seed", "count n", "numbers dataset_path", "kind one or two there is one kind"} <= set(shown)
    assert "gpu nproc_per_node=N starts N processes" in shown


def test_aliases_that_contradict_the_settings_are_an_error_in_the_declaration(clone: Path, registry: Registry) -> None:
    text = (clone / "clearml_tasks/toy/workload.yaml").read_text().replace("count: n", "steps: seed")
    (clone / "clearml_tasks/toy/workload.yaml").write_text(text)
    for command in (("show", "toy"), ("enqueue", "toy", "dataset_path=/data", "--dry-run")):
        outcome = registry(*command)
        assert outcome.code in {1, 2}
        assert "workload.yaml: commands.train: steps is itself a key" in outcome.err
