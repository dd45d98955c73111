"""`registry new`: what becomes of a script's parser, what is written, and what is told where it cannot be."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.command_line import Registry, git
from support.wrapped import commit_all

from harness.errors import ParameterError
from harness.keys import settings_class
from harness.params import resolve
from harness.settings import describe
from harness.workload import Declaration, load
from registry.enqueue.checkout import Checkout
from registry.enqueue.values import keys_of

ROOT = Path(__file__).resolve().parents[2]
MNIST = ROOT / "tests/support/third_party/mnist.py"


@pytest.fixture
def house(clone: Path) -> Path:
    """A clone in which an image can be stated."""
    (clone / "docker/toy/Dockerfile").write_text("ARG BASE_IMAGE=python:3.11-slim-bookworm\nFROM ${BASE_IMAGE}\n")
    (clone / ".venvs/toy/bin/python").unlink()
    shutil.copytree(ROOT / "docker/harness", clone / "docker/harness")
    (clone / ".env").write_text("PYTORCH_TAG=26.02-py3\n")
    commit_all(clone)
    return clone


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another repository, with the script that `write` puts there."""
    root = tmp_path / "other"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    return root


def write(root: Path, text: str, name: str = "train.py") -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    return root / name


def made(house: Path, name: str) -> Declaration:
    return load(house / "clearml_tasks" / name)


def untouched(house: Path) -> bool:
    return git(house, "status", "--porcelain") == "" and not list(house.glob(".new-*"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HARNESS_ENVS", raising=False)


def test_a_third_party_script_is_declared_by_its_parser(house: Path, other: Path, registry: Registry) -> None:
    write(other, MNIST.read_text(), "mnist.py")
    commit = commit_all(other)
    outcome = registry("new", "mnist", "--from", f"{other.as_uri()}@main:mnist.py", "--image", "toy")
    assert (outcome.code, outcome.out) == (0, ""), outcome.err
    (command,) = made(house, "mnist").commands.values()
    assert command.script is not None
    assert (command.script.path, command.script.repository, command.script.commit) == ("mnist.py", other.as_uri(), commit)
    assert command.script.passes == {"seed": "seed", "resume": "resume"}
    settings = {setting.key: (setting.type, setting.default) for setting in describe(settings_class(command))}
    assert settings == {  # as `mnist.py --help` tells them
        "batch_size": ("int", 64),
        "epochs": ("int", 14),
        "lr": ("float", 1.0),
        "no_cuda": ("bool", False),
        "dry_run": ("bool", False),
        "log_interval": ("int", 10),
        "save_model": ("bool", False),
        "arguments": ("list[str]", []),
    }
    assert yaml.safe_load((house / "configs/mnist/smoke.yaml").read_text()) == {"epochs": 1, "dry_run": True}
    assert registry("render", "--check").code == 0
    assert "--smoke" in (house / "example/mnist.sh").read_text()
    assert {"batch_size", "log_interval", "seed"} <= {key for key, _ in keys_of(made(house, "mnist"), [])}  # what a shell offers
    shown = registry("show", "mnist").out
    assert "input batch size for training (default: 64)" in shown


def test_what_it_wrote_is_little_enough_to_read(house: Path, other: Path, registry: Registry) -> None:
    """A person states none of it: the line typed is all of one's own."""
    write(other, MNIST.read_text(), "mnist.py")
    commit_all(other)
    registry("new", "mnist", "--from", str(other), "--image", "toy")
    lines = (house / "clearml_tasks/mnist/workload.yaml").read_text().splitlines()
    assert len(lines) < 20, lines


ARGPARSE = """
import argparse
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root", help="where the data is")
    parser.add_argument("--save-dir")
    parser.add_argument("--opt", choices=["sgd", "adam"], default="sgd")
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--tag", action="append", dest="tags")
    parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--shuffle", action="store_true", dest="mix")
    parser.add_argument("--no-shuffle", action="store_false", dest="mix")
    parser.add_argument("-v", action="count", dest="loud", default=0)
    parser.add_argument("--config", help="another file")
    parser.add_argument("--lambda", type=float, required=True)
    parser.add_argument("--manual-seed", type=int)
    args = parser.parse_args()
    raise SystemExit("it trained")
if __name__ == "__main__":
    main()
"""


def test_every_kind_of_argparse_s_actions(house: Path, registry: Registry) -> None:
    write(house, ARGPARSE, "experiments/train.py")
    outcome = registry("new", "mine", "--from", "experiments/train.py", "--image", "toy")
    assert outcome.code == 0, outcome.err
    assert "config is script_config, lambda is script_lambda" in outcome.err
    declaration = made(house, "mine")
    script = declaration.commands["train"].script
    assert script is not None
    assert (script.path, script.repository) == ("experiments/train.py", "")
    assert script.passes == {"dataset_id": "root", "output_dir": "save_dir", "seed": "manual_seed"}
    settings = {setting.key: setting for setting in describe(settings_class(declaration.commands["train"]))}
    assert list(settings) == ["opt", "layers", "tags", "amp", "mix", "loud", "script_config", "script_lambda", "arguments"]
    assert (settings["opt"].choices, settings["layers"].type, settings["layers"].default) == (("sgd", "adam"), "list[int]", [1, 2])
    assert declaration.commands["train"].needs == ("dataset_id",)  # the script requires it
    with pytest.raises(ParameterError) as caught:
        resolve(declaration, [])
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["script_lambda is required", "dataset_id is required"]
    typed = resolve(declaration, ["root=.", "save_dir=out", "manual_seed=3", "tag=[a]", "script_lambda=0.5", "opt=adam"])
    assert (typed.reserved["dataset_path"], typed.reserved["output_dir"], typed.reserved["seed"]) == (".", "out", 3)
    assert typed.said == {"dataset_path", "output_dir", "seed", "tags", "script_lambda", "opt"}


SUBCOMMANDS = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--verbose", action="store_true")
inner = parser.add_subparsers(required=True)
train = inner.add_parser("train", description="Learns")
train.add_argument("--lr", type=float, default=0.1)
test = inner.add_parser("test")
test.add_argument("--lr", type=float, default=0.2)
parser.parse_args()
"""


def test_each_subcommand_is_a_command(house: Path, registry: Registry) -> None:
    write(house, SUBCOMMANDS, "tool/cli.py")
    assert registry("new", "tool", "--from", "tool/cli.py", "--image", "toy").code == 0
    commands = made(house, "tool").commands
    scripts = {name: command.script for name, command in commands.items()}
    assert {name: (script.words, [option.key for option in script.options]) for name, script in scripts.items() if script} == {
        "train": (("train",), ["verbose", "lr"]),
        "test": (("test",), ["verbose", "lr"]),
    }
    assert (commands["train"].type, commands["test"].type) == ("training", "testing")


TWO_STAGES = """
import argparse
config_parser = argparse.ArgumentParser(add_help=False)
config_parser.add_argument("--arch-file")
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
def parse():
    first, rest = config_parser.parse_known_args()
    return parser.parse_args(rest)
parse()
raise SystemExit("it trained")
"""
CLICK = """
import click
@click.command()
@click.argument("root")
@click.option("--lr", type=float, default=0.1, show_default=True, help="learning rate")
@click.option("--opt", type=click.Choice(["sgd", "adam"]))
@click.option("--tag", multiple=True)
@click.option("--amp/--no-amp", default=True)
@click.version_option("1")
def main(**options):
    raise SystemExit("it trained")
main()
"""
HYDRA = """
import hydra
@hydra.main(config_path="conf", config_name="config", version_base=None)
def main(config):
    raise SystemExit("it trained")
if __name__ == "__main__":
    main()
"""


def test_two_parsers_of_one_command_line_are_one(house: Path, registry: Registry) -> None:
    """As timm's scripts, whose first parser reads a file of defaults for the second."""
    write(house, TWO_STAGES, "timm/train.py")
    assert registry("new", "two", "--from", "timm/train.py", "--image", "toy").code == 0
    script = made(house, "two").commands["train"].script
    assert script is not None
    assert [option.key for option in script.options] == ["arch_file", "lr"]


def test_a_script_of_a_package_is_read_and_run_as_its_module(house: Path, registry: Registry, tmp_path: Path) -> None:
    write(house, "RATE = 0.5\n", "lab/nets/models.py")
    write(house, "", "lab/nets/__init__.py")
    script = "import argparse\nfrom .models import RATE\nparser = argparse.ArgumentParser()\n"
    script += "parser.add_argument('--lr', type=float, default=RATE)\n"
    write(house, f"{script}print('rate', parser.parse_args().lr)\n", "lab/nets/train.py")
    assert registry("new", "nets", "--from", "lab/nets/train.py", "--image", "toy").code == 0
    assert settings_class(made(house, "nets").commands["train"])().lr == 0.5
    entry = [sys.executable, str(house / "clearml_tasks/nets/clearml_train.py"), "lr=0.25"]
    done = subprocess.run(entry, cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}, capture_output=True, text=True)
    assert (done.returncode, "rate 0.25" in done.stdout) == (0, True), done.stdout + done.stderr


def test_click_s_options(house: Path, registry: Registry) -> None:
    write(house, CLICK, "clicked/train.py")
    outcome = registry("new", "clicked", "--from", "clicked", "--image", "toy")
    assert outcome.code == 0, outcome.err
    script = made(house, "clicked").commands["train"].script
    assert script is not None
    assert (script.style, dict(script.passes)) == ("click", {"dataset_id": "root"})
    assert {option.key: (option.form, option.type, option.default) for option in script.settings} == {
        "lr": ("value", "float", 0.1),
        "opt": ("value", "str", None),
        "tag": ("append", "str", None),
        "amp": ("switch", "bool", True),
    }


def test_hydra_s_config_with_its_groups(house: Path, registry: Registry) -> None:
    write(house, HYDRA, "hydrated/train.py")
    write(
        house,
        "defaults: [_self_, {model: small}]\nseed: 1\noptim: {lr: 0.1, betas: [0.9, 0.99]}\nname: ${model.width}\n",
        "hydrated/conf/config.yaml",
    )
    write(house, "width: 8\n", "hydrated/conf/model/small.yaml")
    write(house, "width: 64\ndepth: 3\n", "hydrated/conf/model/large.yaml")
    outcome = registry("new", "hydrated", "--from", "hydrated/train.py", "--image", "toy")
    assert outcome.code == 0, outcome.err
    declaration = made(house, "hydrated")
    settings = {setting.key: setting for setting in describe(settings_class(declaration.commands["train"]))}
    assert list(settings) == ["script_model", "optim.lr", "optim.betas", "name", "model.width", "model.depth", "arguments"]
    assert settings["script_model"].choices == ("large", "small")
    assert (settings["optim.betas"].type, settings["model.width"].default) == ("list[float]", None)  # which follows from the model
    assert settings["model.width"].help == "8; with model=large: 64"
    typed = resolve(declaration, ["model=large", "model.width=32", "lr=0.5", "seed=3"])
    assert typed.said == {"script_model", "model.width", "optim.lr", "seed"}


def test_a_script_without_a_parser_takes_words_as_they_are(house: Path, registry: Registry) -> None:
    write(house, "import sys\nprint(sys.argv)\n", "plain/run.py")
    outcome = registry("new", "plain", "--from", "plain/run.py", "--image", "toy")
    assert outcome.code == 2
    assert "it ran to its end without reading options by argparse, click or Hydra; --free takes the script" in outcome.err
    (house / "plain/run.py").touch()
    assert registry("new", "plain", "--from", "plain/run.py", "--image", "toy", "--free").code == 0
    assert resolve(made(house, "plain"), ["arguments=[--lr,0.1]"]).settings.arguments == ["--lr", "0.1"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nowhere_to_be_found", "No module named 'nowhere_to_be_found'; --python names an interpreter that has"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit('usage: no')", "cannot be read: usage: no"),
        ("def (", "SyntaxError"),
    ],
)
def test_a_parser_that_cannot_be_read_is_told_why(house: Path, registry: Registry, text: str, told: str) -> None:
    write(house, text, "bad/train.py")
    commit_all(house)
    outcome = registry("new", "bad", "--from", "bad/train.py", "--image", "toy")
    assert (outcome.code, untouched(house)) == (2, True)
    assert told in outcome.err


def test_all_problems_are_told_at_once_and_nothing_is_written(house: Path, registry: Registry) -> None:
    outcome = registry("new", "toy", "--from", "nowhere.py", "--image", "tyo", "--option", "speed=lr")
    assert (outcome.code, untouched(house)) == (2, True)
    for told in (
        "clearml_tasks/toy is there already",
        "configs/toy is there already",
        "--image tyo: there is no such image; there are: toy",
        "--option speed=lr: must be KEY=OPTION",
        "--from nowhere.py: there is no such file or folder",
    ):
        assert told in outcome.err
    assert registry("new", "a b").code == 2
    assert "would hide others of that name" in registry("new", "utils").err


def test_what_fails_halfway_leaves_nothing(house: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert registry("render").code == 0
    commit_all(house)
    monkeypatch.setattr("registry.new.making.layer_named", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        registry("new", "mine")
    assert untouched(house)


def test_repositories_and_commits_that_cannot_be_had(house: Path, other: Path, registry: Registry) -> None:
    write(other, ARGPARSE)
    commit_all(other)
    for source, told in {
        f"{other.as_uri()}": "name the commit as well",
        f"{other.as_uri()}@elsewhere": "elsewhere is neither a branch nor a tag there",
        f"{other.as_uri()}@{'0' * 40}": f"has no commit {'0' * 12}",
        f"{other.as_uri()}@main:test.py": "there is no test.py at this commit",
        f"{other.with_name('gone').as_uri()}@main": "it cannot be reached",
        "https://me:secret@example.org/a@main": "the URL holds a password",
    }.items():
        outcome = registry("new", "x", "--from", source, "--image", "toy")
        assert (outcome.code, told in outcome.err) == (2, True), outcome.err
        assert "secret" not in outcome.err
    write(other, ARGPARSE + "\n")
    assert "has changes that are not committed" in registry("new", "x", "--from", str(other), "--image", "toy").err
    (other.parent / "loose").mkdir()
    write(other.parent / "loose", ARGPARSE)
    assert "it is in no git repository" in registry("new", "x", "--from", str(other.parent / "loose"), "--image", "toy").err
    assert untouched(house)


def test_a_script_that_changes_is_told_of_and_read_again(house: Path, registry: Registry) -> None:
    write(house, ARGPARSE, "experiments/train.py")
    registry("new", "mine", "--from", "experiments/train.py", "--image", "toy")
    arguments = ["root=.", "script_lambda=1"]
    assert resolve(made(house, "mine"), arguments).notes == ()
    write(house, ARGPARSE.replace("--opt", "--optimizer").replace('default="sgd"', 'default="adam"'), "experiments/train.py")
    (note,) = resolve(made(house, "mine"), arguments).notes
    assert note == "experiments/train.py has changed since its options were read; if they have, too: registry new mine --refresh"
    outcome = registry("new", "mine", "--refresh")
    assert (outcome.code, outcome.err) == (0, "command train: opt is gone, optimizer is new\n")
    assert resolve(made(house, "mine"), [*arguments, "optimizer=sgd"]).notes == ()


def test_what_a_run_needs_must_be_committed(house: Path, registry: Registry) -> None:
    write(house, ARGPARSE, "experiments/train.py")
    registry("new", "mine", "--from", "experiments/train.py", "--image", "toy")
    place = Checkout(house, git(house, "rev-parse", "HEAD"), here=False)
    missing = [problem.partition(" ")[0] for problem in place.problems_of_code(made(house, "mine"))]
    folder = "clearml_tasks/mine"
    assert missing == [f"{folder}/clearml_train.py", f"{folder}/workload.yaml", f"{folder}/options.yaml", "experiments/train.py"]


def test_an_image_of_its_own_has_the_repository_s_packages(house: Path, other: Path, registry: Registry) -> None:
    write(other, MNIST.read_text(), "mnist.py")
    write(other, "# what it needs\ntorch==2.1.0\neinops==0.8.1  # for attention\n-e .\n", "requirements.txt")
    commit_all(other)
    outcome = registry("new", "Mnist", "--from", str(other), "--python", sys.executable)
    assert outcome.code == 0, outcome.err
    assert (house / "docker/mnist/requirements.txt").read_text() == "einops==0.8.1\n"
    assert "ARG BASE_IMAGE=nvcr.io/nvidia/pytorch:26.02-py3\n" in (house / "docker/mnist/Dockerfile").read_text()
    assert "make lock env/mnist" in outcome.err


@pytest.mark.slow
def test_a_workload_of_one_s_own_runs_as_written(house: Path, registry: Registry, tmp_path: Path) -> None:
    """Slow: two runs, and ruff and mypy over what was written."""
    (house / "src").unlink()
    (house / "src").mkdir()
    (house / "src/harness").symlink_to(ROOT / "src/harness")
    outcome = registry("new", "my-lines")
    assert outcome.code == 0, outcome.err
    assert registry("render", "--check").code == 0
    assert (house / "docker/my-lines/requirements.lock").read_text().startswith("# Made by `make lock`")
    entry = house / "clearml_tasks/my-lines/clearml_train.py"
    alone = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    for more in ([], ["epochs=8", f"resume={tmp_path / 'outputs'}"]):
        if more:
            more[1] = f"resume={next((tmp_path / 'outputs/my-lines').iterdir())}"
        argv = [sys.executable, str(entry), "config=smoke", *more]
        done = subprocess.run(argv, cwd=tmp_path, env=alone, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "y = " in done.stdout
    config = str(ROOT / "pyproject.toml")
    package = str(house / "src/my_lines")
    for tool in (
        ["ruff", "check", "--config", config, str(entry), package],
        ["ruff", "format", "--check", "--config", config, str(entry), package],
        ["mypy", "--strict", "--explicit-package-bases", "--ignore-missing-imports", "--follow-imports=skip", package],
    ):
        checked = subprocess.run([sys.executable, "-m", *tool], cwd=house, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr
