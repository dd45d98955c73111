"""A script as its workload declares it: where it is, its options, and which of them take what the harness knows.

workload.yaml says what a person decides; options.yaml beside it holds what `registry new` has read from the script's parser.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import WorkloadError
from ..yaml_file import read_yaml

FILE = "options.yaml"
STYLES = ("argparse", "click", "hydra", "plain")
TYPES: Mapping[str, type] = {"int": int, "float": float, "str": str, "bool": bool}
FORMS = ("value", "switch", "words", "append", "count", "place", "override")
"""`--flag=VALUE`; `--flag` or `--no-flag`; `--flag A B`; `--flag=A --flag=B`; `-v -v`; a positional argument; Hydra's `key=value`."""
REST = "arguments"
"""The setting that holds further words of the command line."""
PASSED = ("output_dir", "seed", "resume", "init_from")
"""The harness's keys, beside those of datasets, that an option of the script may take."""
KEYS = ("script", "repository", "commit", "options", "checkpoints")
"""What workload.yaml states of a command with `launcher: script`."""
CHECKPOINTS = ("**/*.pt", "**/*.pth", "**/*.ckpt")


@dataclass(frozen=True)
class Option:
    """One option of a script."""

    key: str
    """The setting."""
    form: str = "value"
    type: str = "str"
    name: str = ""
    """What the script calls it, where that is not the key."""
    flag: str = ""
    negation: str = ""
    """The flag that makes a switch false."""
    many: bool = False
    default: Any = None
    required: bool = False
    choices: tuple[Any, ...] = ()
    help: str = ""
    level: int = 0
    """How many subcommands stand before it."""
    false_word: str = "False"
    """The word for a false value: argparse's `type=bool` takes every text but the empty one for True."""

    @property
    def own_name(self) -> str:
        return self.name or self.key

    @classmethod
    def of(cls, stated: Mapping[str, Any]) -> Option:
        """An option as options.yaml states it; lists become tuples, so that options can be compared and kept."""
        values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in stated.items()}
        return cls(**values)

    def stated(self) -> dict[str, Any]:
        """The option as options.yaml states it, without what is as usual."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        usual = {item.name: item.default for item in fields(self) if item.default is not MISSING}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if name not in usual or value != usual[name] or type(value) is not type(usual[name])
        }


@dataclass(frozen=True)
class Script:
    """A script that is run as it is."""

    path: str
    """Relative to its repository, or to this clone."""
    repository: str = ""
    """The URL of the git repository that it belongs to; empty for this one."""
    commit: str = ""
    passes: Mapping[str, str] = field(default_factory=dict)
    """Keys of the harness and the option that takes each."""
    checkpoints: tuple[str, ...] = CHECKPOINTS
    """Patterns of the files that are checkpoints, in the run's folder of files."""
    style: str = "plain"
    words: tuple[str, ...] = ()
    """Subcommands."""
    options: tuple[Option, ...] = ()
    sha256: str = ""
    """Of the script's file when its options were read."""

    @property
    def settings(self) -> tuple[Option, ...]:
        """The options that a person sets."""
        taken = set(self.passes.values())
        return tuple(option for option in self.options if option.own_name not in taken)

    def aliases(self) -> dict[str, str]:
        """What the script calls a key of the harness, or a setting: `--save-dir` is output_dir."""
        called = {name: option.key for option in self.settings for name in (flag_name(option), option.own_name)}
        passed = {name: key if key in PASSED else key.removesuffix("_id") + "_path" for key, name in self.passes.items()}
        return {name: key for name, key in {**called, **passed}.items() if name and name != key}

    def option(self, name: str) -> Option:
        return next(option for option in self.options if option.own_name == name)


def flag_name(option: Option) -> str:
    """A flag as the key that it reads like."""
    return option.flag.lstrip("-").replace("-", "_")


def script_of(command: str, stated: Mapping[str, Any], folder: Path) -> Script:
    """A command's script, as the checked contents of workload.yaml and options.yaml state it.

    Raises:
        WorkloadError: options.yaml is missing, or something in it is wrong.
    """
    file = folder / FILE
    try:
        read = read_yaml(file) if file.exists() else {}
    except ValueError as error:
        raise WorkloadError(f"{file}: {error}") from error
    own = read.get(command) if isinstance(read, dict) else None
    if problems := list(problems_of_options(own, f"registry new {folder.name} --refresh")):
        raise WorkloadError("\n".join(f"{file}: {command}: {problem}" for problem in problems))
    assert isinstance(own, dict)
    script = Script(
        stated["script"],
        stated.get("repository", ""),
        stated.get("commit", ""),
        dict(stated.get("options", {})),
        tuple(stated.get("checkpoints", CHECKPOINTS)),
        own["style"],
        tuple(own.get("words", ())),
        tuple(Option.of(option) for option in own.get("options", ())),
        own.get("sha256", ""),
    )
    known = {option.own_name for option in script.options}
    where = f"{folder / 'workload.yaml'}: commands.{command}.options"
    wrong = [f"{where}.{key}: the script has no option {name}" for key, name in script.passes.items() if name not in known]
    if wrong:
        raise WorkloadError("\n".join(wrong))
    return script


def problems_of_options(own: Any, remedy: str) -> Iterator[str]:
    """What is wrong with a command's entry in options.yaml."""
    if not isinstance(own, dict) or own.get("style") not in STYLES or not isinstance(own.get("options", []), list):
        yield f"no options that were read from the script; type: {remedy}"
        return
    known = {item.name for item in fields(Option)}
    for option in own.get("options", []):
        if not isinstance(option, dict) or not isinstance(option.get("key"), str):
            yield f"{option!r}: must be a mapping with a key"
        elif unknown := option.keys() - known:
            yield f"{option['key']}: unknown {', '.join(sorted(unknown))}"
        elif option.get("form", "value") not in FORMS or option.get("type", "str") not in TYPES:
            yield f"{option['key']}: form must be one of {', '.join(FORMS)}, type one of {', '.join(TYPES)}"


def problems_of_script(stated: Mapping[str, Any], datasets: Mapping[str, str]) -> Iterator[str]:
    """What is wrong in workload.yaml with a command whose launcher is `script`."""
    path = stated.get("script")
    if not isinstance(path, str) or not path.endswith(".py") or path.startswith("/") or ".." in Path(path).parts:
        yield f"script is {path!r}; must be the path of a .py file in its repository"
    repository, commit = stated.get("repository", ""), stated.get("commit", "")
    if repository and not re.match(r"[\w+.-]+://|[\w.-]+@[\w.-]+:", str(repository)):
        yield f"repository is {repository!r}; must be the URL of a git repository"
    if repository and not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", str(commit)):
        yield f"commit is {commit!r}; must be the whole hash of a commit of {repository}"
    if commit and not repository:
        yield "commit is that of another repository; state its repository, or leave it out"
    if re.search("://[^/@]*:[^/@]*@", str(repository)):
        yield "repository holds a password; leave it out, and let git's credential helper know it"
    options, allowed = stated.get("options", {}), (*datasets, *PASSED)
    if not isinstance(options, dict) or not all(isinstance(name, str) for name in options.values()):
        yield "options must be a mapping of the harness's keys to names of the script's options"
    else:
        yield from (f"options: unknown key {key!r}; allowed: {', '.join(allowed)}" for key in options if key not in allowed)
    patterns = stated.get("checkpoints", [])
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) and not pattern.startswith("/") for pattern in patterns):
        yield "checkpoints must be a list of patterns such as '**/*.pt'"


def digest(file: Path) -> str:
    """The beginning of a script's SHA-256, by which a later version is told."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def note_on_age(script: Script, root: Path, workload: str) -> str | None:
    """What there is to say of a script of this clone that is another one than its options were read from. A commit does not change."""
    file = root / script.path
    if script.repository or not script.sha256 or not file.is_file() or digest(file) == script.sha256:
        return None
    return f"{script.path} has changed since its options were read; if they have, too: registry new {workload} --refresh"


def module_of(file: Path) -> tuple[Path, str] | None:
    """Of a script that imports from its own package (`from .models import ..`), the folder of that package and its full name.

    Such a script runs as `python -m package.script` alone; None for any other, and for one that Python cannot read.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return None
    if not any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree)):
        return None
    parts, folder = [file.stem], file.parent
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    if len(parts) == 1:  # a package without __init__.py
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(parts)
