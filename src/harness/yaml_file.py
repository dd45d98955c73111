"""YAML as people write it for settings: `1e-4` is a number, and a key given twice in one mapping is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml


class Loader(yaml.SafeLoader):
    """Reads `1e-4` as a number; YAML 1.1 requires `1.0e-4`."""


Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+[eE][-+]?\d+$"), list("-+0123456789"))


def read_yaml(file: Path) -> Any:
    """The contents of a YAML file.

    Raises:
        ValueError: it cannot be read, is nested too deeply, or gives keys twice in one mapping: it names each with its lines.
    """
    try:
        text = file.read_text()
        root = yaml.compose(text, Loader)
        if root is not None and (twice := list(keys_given_twice(root))):
            raise ValueError("; ".join(twice))
        return yaml.load(text, Loader)
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"cannot be read: {error}") from error
    except RecursionError:
        raise ValueError("cannot be read: it is nested too deeply") from None


def keys_given_twice(node: yaml.Node) -> Iterator[str]:
    """A message for each key that a mapping in `node` gives more than once."""
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, list[int]] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                lines.setdefault(key.value, []).append(key.start_mark.line + 1)
            yield from keys_given_twice(value)
        yield from (f"{key} is given {len(at)} times, on lines {', '.join(map(str, at))}" for key, at in lines.items() if len(at) > 1)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from keys_given_twice(item)
