"""Datasets: published from a folder, found again, and made on demand."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from support.command_line import Registry

from harness.params import resolve
from registry import catalog
from registry.backends import Queue, Server
from registry.errors import RegistryError
from registry.run import DATASET_PROJECT
from registry.workload import discover

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's


@pytest.mark.parametrize("entry", catalog.load(ROOT).values(), ids=lambda entry: entry.alias)
def test_every_alias_can_be_made(entry: catalog.CatalogEntry) -> None:
    assert resolve(discover(ROOT)[entry.workload], entry.arguments).command.name in discover(ROOT)[entry.workload].commands


def tabletop() -> list[catalog.CatalogEntry]:
    return [entry for entry in catalog.load(ROOT).values() if entry.workload == "tabletop"]


@pytest.mark.parametrize("entry", tabletop(), ids=lambda entry: entry.alias)
def test_a_rendered_dataset_is_published_under_its_alias(entry: catalog.CatalogEntry) -> None:
    settings = resolve(discover(ROOT)["tabletop"], entry.arguments).settings
    assert settings.dataset_name == entry.alias
    assert not list(settings.problems())
    assert not entry.alias.endswith("-min") or settings.n == 300


def test_each_rendered_format_has_a_full_and_a_small_alias() -> None:
    formats = ("pairs", "coco", "voc", "sherlock", "coco-hard", "voc-hard")
    assert {entry.alias for entry in tabletop()} == {f"tabletop-{name}{size}" for name in formats for size in ("", "-min")}


def test_the_smoke_run_of_tabletop_makes_the_datasets_of_the_aliases() -> None:
    tabletops = discover(ROOT)["tabletop"]
    promised = {entry.alias: resolve(tabletops, entry.arguments).settings for entry in tabletop()}
    for step in tabletops.smoke:
        settings = resolve(tabletops, [f"{key}={value}" for key, value in step.items()]).settings
        assert settings == promised[settings.dataset_name]


def test_an_entry_without_a_run_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry/catalog.yaml").write_text("numbers: {summary: a few numbers}\n")
    with pytest.raises(RegistryError, match="numbers: must have"):
        catalog.load(tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_a_folder_is_published_listed_and_fetched(clone: Path, embedded: Server, tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "set/part").mkdir(parents=True)
    (tmp_path / "set/part/a.txt").write_text("one")
    name = f"small-{uuid.uuid4().hex[:6]}"
    outcome = registry("dataset", "create", name, "--folder", str(tmp_path / "set"), "--tag", "tiny")
    assert outcome.code == 0, outcome.err
    (identifier,) = outcome.lines
    found = {each["id"]: each for each in json.loads(registry("dataset", "list", "--json").out)}[identifier]
    assert (found["name"], found["project"], found["status"]) == (name, "[ClearML] public-dataset", "completed")
    assert "tiny" in found["tags"]
    for reference in (name, identifier):
        (folder,) = registry("dataset", "get", reference).lines
        assert (Path(folder) / "part/a.txt").read_text() == "one"


def test_everything_that_prevents_publishing_is_reported_at_once(clone: Path, embedded: Server, tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "empty").mkdir()
    outcome = registry("dataset", "create", "ab", "--folder", str(tmp_path / "empty"), "--project", "p")
    assert outcome.code == 2
    for message in ("dataset name 'ab'", "project name 'p'", "it contains no files"):
        assert message in outcome.err


def test_an_unknown_dataset_and_an_unknown_alias(clone: Path, embedded: Server, registry: Registry) -> None:
    assert registry("dataset", "get", "nothing-like-it").code == 2
    outcome = registry("dataset", "ensure", "tabletop-pear")
    assert outcome.code == 2
    assert "did you mean tabletop-pairs?" in outcome.err


class TestEnsure:
    @pytest.fixture
    def alias(self, clone: Path) -> str:
        name = f"numbers-{uuid.uuid4().hex[:6]}"
        (clone / "registry").mkdir()
        (clone / "registry/catalog.yaml").write_text(f"{name}: {{summary: numbers, build: {{workload: toy, command: make}}}}\n")
        return name

    def publish(self, server: Server, name: str) -> str:
        project = server.project(f"{DATASET_PROJECT}/.datasets/{name}")
        task = server.call("tasks.create", name=name, type="data_processing", project=project, system_tags=["dataset"])["id"]
        server.call("tasks.started", task=task)
        server.call("tasks.completed", task=task)
        return str(task)

    def test_an_existing_dataset_is_not_made_again(self, alias: str, embedded: Server, registry: Registry) -> None:
        there = self.publish(embedded, alias)
        assert registry("dataset", "ensure", alias).lines == [there]

    def test_it_waits_for_a_task_that_is_already_making_the_dataset(
        self, alias: str, embedded: Server, queue: Queue, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (maker,) = registry("enqueue", "toy", "command=make", "--queue", queue.name, "--tag", f"makes {alias}").lines
        embedded.call("tasks.started", task=maker)

        def finish(_: float) -> None:
            self.publish(embedded, alias)
            embedded.call("tasks.completed", task=maker)

        monkeypatch.setattr("registry.tasks.watch.sleep", finish)
        before = len(embedded.tasks(only_fields=["id"], tags=[f"makes {alias}"]))
        outcome = registry("dataset", "ensure", alias, "--queue", queue.name)
        assert outcome.code == 0, outcome.err
        assert outcome.lines == [catalog.query(embedded, name=f"^{alias}$")[0].id]
        assert len(embedded.tasks(only_fields=["id"], tags=[f"makes {alias}"])) == before

    def test_a_task_that_publishes_nothing_is_an_error(
        self, alias: str, embedded: Server, queue: Queue, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def finish(_: float) -> None:
            (maker,) = embedded.tasks(only_fields=["id"], tags=[f"makes {alias}"])
            embedded.call("tasks.started", task=maker["id"])
            embedded.call("tasks.completed", task=maker["id"])

        monkeypatch.setattr("registry.tasks.watch.sleep", finish)
        outcome = registry("dataset", "ensure", alias, "--queue", queue.name)
        assert (outcome.code, outcome.out) == (1, "")
        assert "without publishing a dataset" in outcome.err
