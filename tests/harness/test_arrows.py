"""Imports go one way: what may import what, read from the sources."""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOMAIN = sorted(path.name for path in (ROOT / "src").iterdir() if path.is_dir() and path.name not in {"harness", "local_server"})


def imports(package: Path) -> Iterator[tuple[str, str]]:
    """File and full name of each absolute import below `package`."""
    for path in package.rglob("*.py"):
        yield from of(path)


def of(path: Path) -> Iterator[tuple[str, str]]:
    """The same of one file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((path.name, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield path.name, node.module


def breaches(package: Path, *forbidden: str) -> list[tuple[str, str]]:
    return [(file, name) for file, name in imports(package) if name.partition(".")[0] in forbidden]


@pytest.mark.parametrize("package", [name for name in DOMAIN if any((ROOT / "src" / name).rglob("*.py"))])
def test_domain_code_knows_neither_clearml_nor_who_calls_it(package: str) -> None:
    assert breaches(ROOT / "src" / package, "clearml", "clearml_agent", "registry", "local_server", "clearml_tasks") == []


def test_the_harness_needs_neither_the_registry_nor_a_workload() -> None:
    assert breaches(ROOT / "src/harness", "registry", "local_server", "clearml_tasks", *DOMAIN) == []


def test_only_harness_torch_imports_torch_and_nothing_imports_it() -> None:
    part = "harness.torch"
    known = {name: path for name, path in modules().items() if name.partition(".")[0] in {"harness", "registry", "local_server"}}
    needy = {name for name, path in known.items() if {"torch", "lightning"} & {found.partition(".")[0] for _, found in of(path)}}
    assert {name.rpartition(".")[0] for name in needy} == {part}
    plain = {name: path for name, path in known.items() if not name.startswith(part)}
    assert {name for name, path in plain.items() if any(found.startswith(part) for found in asked_for(name, path, known))} == set()


def test_clearml_is_imported_in_the_few_places_that_speak_to_it() -> None:
    allowed = {"api.py", "data.py", "remote_checkpoints.py", "sdk.py", "storage.py", "tracking.py"}
    assert {file for file, _ in breaches(ROOT / "src/harness", "clearml")} <= allowed
    assert {file for file, _ in breaches(ROOT / "registry", "clearml")} <= {"backends.py", "catalog.py"}
    assert breaches(ROOT / "src/local_server", "clearml", "clearml_agent") == []


def test_the_registry_imports_no_run_s_code_beyond_the_grammar_and_the_check_of_data() -> None:
    assert {name for _, name in breaches(ROOT / "registry", "torch", "clearml_tasks", *DOMAIN)} == {"toolboxes.data"}


def test_the_check_of_data_needs_what_the_registry_has_and_no_toolbox() -> None:
    found = {name.partition(".")[0] for _, name in imports(ROOT / "src/toolboxes/data")}
    assert found - sys.stdlib_module_names == {"harness", "numpy", "PIL"}
    assert {name for _, name in breaches(ROOT / "src/toolboxes/data", "harness")} == {
        "harness.errors",
        "harness.files",
        "harness.report",
        "harness.yaml_file",
    }


def modules() -> dict[str, Path]:
    """Every module of the project by its full name."""
    roots = [(ROOT / "src", path) for path in (ROOT / "src").rglob("*.py")] + [(ROOT, path) for path in (ROOT / "registry").rglob("*.py")]
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for root, path in roots}


def asked_for(name: str, path: Path, known: Collection[str]) -> set[str]:
    """The project's modules that one imports, wherever in it and for whatever: at its top, in a function, for its types."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = name.split(".")[: -node.level + (path.name == "__init__.py") or None] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            found |= {inner if (inner := f"{base}.{alias.name}") in known else base for alias in node.names}
    return found & set(known) - {name}


def test_no_module_needs_itself_by_way_of_others() -> None:
    known = modules()
    graph = {name: asked_for(name, path, known) for name, path in known.items()}
    assert {"harness.params", "harness.parent"} <= graph["harness.entry"]  # one at its top, one in a function
    assert "local_server.auth" in graph["local_server.page"]  # for its types
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))
