"""workload.yaml: read once, checked whole; the declarations of this repository are right."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from harness.errors import HarnessError, ParameterError, WorkloadError
from harness.keys import RESERVED, settings_class
from harness.params import describe, resolve
from harness.workload import Declaration, load

ROOT = Path(__file__).resolve().parents[2]
WORKLOADS = [load(path.parent) for path in sorted((ROOT / "clearml_tasks").glob("*/workload.yaml"))]


def written(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "Toy"
    folder.mkdir()
    (folder / "workload.yaml").write_text(text)
    return folder


def test_defaults_follow_from_the_folder(tmp_path: Path) -> None:
    found = load(
        written(
            tmp_path, "summary: s\nqueue: q\ndatasets: {dataset_id: d}\ncommands: {go: {launcher: own, type: testing, config: 'm:C'}}\n"
        )
    )
    assert (found.name, found.image, found.script) == ("Toy", "toy", "clearml_tasks/Toy/clearml_train.py")
    assert found.commands["go"].needs == ("dataset_id",)


def test_every_mistake_is_named(tmp_path: Path) -> None:
    text = """\
sumary: s
queue: q
commands: {go: {launcher: mpi, type: trainning, config: nothing, needs: [x], extra: 1}}
smoke: [{command: stay}]
metrics: {man: loss/val, main: success, lower: [loss/val], higher: {loss/val: 1}}
"""
    with pytest.raises(WorkloadError) as caught:
        load(written(tmp_path, text))
    told = str(caught.value)
    metrics = ("metrics: unknown key 'man'", "metrics.main is 'success'; must be title/series", "metrics.higher is {'loss/val': 1}")
    for mistake in (
        "'sumary'",
        "summary is missing",
        "'mpi'",
        "'trainning'",
        "'nothing'",
        "needs 'x'",
        "'extra'",
        "smoke step 1",
        *metrics,
    ):
        assert mistake in told


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        ("success/mean", "metrics is 'success/mean'; must be a mapping with main, lower, higher"),
        ("{lower: [a/b, c/d], higher: c/d}", "metrics: c/d cannot be both lower and higher"),
    ],
)
def test_metrics_that_contradict_are_refused(tmp_path: Path, metrics: str, told: str) -> None:
    text = f"summary: s\nqueue: q\ncommands: {{go: {{launcher: own, type: testing, config: 'm:C'}}}}\nmetrics: {metrics}\n"
    with pytest.raises(WorkloadError, match=re.escape(told)):
        load(written(tmp_path, text))


@pytest.mark.parametrize("text", ["", "- a", "a: [", "\x00"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(WorkloadError, match=r"workload\.yaml"):
        load(written(tmp_path, text))


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("{script: /abs.py}", "script is '/abs.py'; must be the path of a .py file in its repository"),
        ("{script: ../a.py}", "script is '../a.py'"),
        (
            "{script: a.py, repository: --upload-pack=x, commit: main}",
            "repository is '--upload-pack=x'; must be the URL",
        ),
        ("{script: a.py, repository: 'https://h/a', commit: main}", "commit is 'main'; must be the whole hash of a commit of https://h/a"),
        ("{script: a.py, commit: aaaa}", "commit is that of another repository; state its repository"),
        ("{script: a.py, repository: 'https://u:p@h/a'}", "repository holds a password"),
        ("{script: a.py, options: {speed: lr}}", "options: unknown key 'speed'; allowed: output_dir, seed, resume, init_from"),
        ("{script: a.py, checkpoints: '*.pt'}", "checkpoints must be a list of patterns"),
        ("{script: a.py, config: 'm:C'}", "unknown key 'config'"),
        ("{script: a.py}", "no options that were read from the script; type: registry new Toy --refresh"),
    ],
)
def test_what_is_wrong_with_a_script_is_named(command: str, told: str, tmp_path: Path) -> None:
    text = f"summary: s\nqueue: q\ncommands: {{go: {{launcher: script, type: training, {command[1:]}}}\n"
    with pytest.raises(WorkloadError, match=re.escape(told)):
        load(written(tmp_path, text))


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("{form: value}", "must be a mapping with a key"),
        ("{key: a, colour: red}", "a: unknown colour"),
        ("{key: a, form: leap}", "a: form must be one of value, switch"),
    ],
)
def test_what_is_wrong_in_options_yaml_is_named(option: str, told: str, tmp_path: Path) -> None:
    folder = written(tmp_path, "summary: s\nqueue: q\ncommands: {go: {launcher: script, type: training, script: a.py}}\n")
    (folder / "options.yaml").write_text(f"go: {{style: argparse, options: [{option}]}}\n")
    with pytest.raises(WorkloadError, match=re.escape(told)):
        load(folder)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
class TestOurWorkloads:
    def test_settings_bear_no_reserved_name_and_say_what_they_mean(self, workload: Declaration) -> None:
        for command in workload.commands.values():
            settings = describe(settings_class(command))
            assert not RESERVED.keys() & {setting.key for setting in settings}
            assert set(command.instead) <= {setting.key for setting in settings}
            assert all(setting.help for setting in settings)
            assert all(setting.admits(setting.default) for setting in settings)

    def test_every_smoke_step_resolves(self, workload: Declaration) -> None:
        for step in workload.smoke:
            assert resolve(workload, [f"{key}={value}" for key, value in step.items()]).command.name == step["command"]

    def test_every_config_opens_with_the_command_that_uses_it_and_resolves(self, workload: Declaration) -> None:
        for path in workload.configs.rglob("*.yaml"):
            head = [line for line in path.read_text().splitlines() if line.startswith("#")]
            name = path.relative_to(workload.configs).with_suffix("").as_posix()
            assert any(f"{workload.name}" in line and f"config={name}" in line for line in head), path
            errors = []
            for command in workload.commands:
                try:
                    resolve(workload, [f"command={command}", f"config={name}", *[f"{key}=x" for key in workload.datasets]])
                except HarnessError as error:
                    errors.append(error)
            assert len(errors) < len(workload.commands), errors

    def test_what_trains_or_tests_says_what_it_is_judged_by(self, workload: Declaration) -> None:
        if {command.type for command in workload.commands.values()} & {"training", "testing"}:
            assert workload.metrics.main
            assert workload.metrics.lower
            assert workload.metrics.higher

    def test_the_entry_script_is_short_and_names_each_command(self, workload: Declaration) -> None:
        source = (ROOT / workload.script).read_text()
        (call,) = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and ast.unparse(node.func) == "harness.main"]
        assert {keyword.arg for keyword in call.keywords} == {name for name, command in workload.commands.items() if not command.script}
        assert len(source.splitlines()) <= 15 + 7 * len(workload.commands)

    def test_its_image_is_declared(self, workload: Declaration) -> None:
        folder = ROOT / "docker" / workload.image
        assert (folder / "Dockerfile").exists()
        assert (folder / "requirements.txt").exists()


ENCODINGS = "utf-8, utf-16, latin-1, cp1252, gb18030"


@pytest.mark.parametrize(
    ("workload", "key", "name", "told"),
    [
        ("clip", "model.name", "RN51", "neither open_clip nor this project has this model (did you mean RN50?)"),
        ("clip", "model.name", "vit-b-32", "neither open_clip nor this project has this model (did you mean ViT-B-32?)"),
        ("clip", "model.name", "ViT-L/14-336px", None),
        ("clip", "model.name", "tabletop-tiny", None),
        ("clip", "model.name", "mine.json", None),
        ("clip", "data.encoding", "utf-9", f"is not a text encoding that Python knows (some are {ENCODINGS})"),
        ("clip", "data.encoding", "base64", f"is not a text encoding that Python knows (some are {ENCODINGS})"),
        ("clip", "data.encoding", "CP1252", None),
        ("cliport", "model.clip", "tiny-resnt", "neither open_clip nor this project has this model (did you mean tiny-resnet?)"),
        ("cliport", "model.clip", "", None),
    ],
)
def test_names_of_models_and_encodings_are_checked_without_torch(workload: str, key: str, name: str, told: str | None) -> None:
    (declared,) = (each for each in WORKLOADS if each.name == workload)
    arguments = ["command=train", "dataset_path=.", f"{key}={name}"]
    if told is None:
        assert resolve(declared, arguments).flat_settings()[key] == (name or None)
    else:
        with pytest.raises(ParameterError) as caught:
            resolve(declared, arguments)
        assert caught.value.problems == [f"{key}={name}: {told}"]
