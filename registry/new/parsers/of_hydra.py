"""Hydra: the composed config, and the groups that it is composed of."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .found import Options, tell
from .values import PLAIN


def intercept_hydra() -> None:
    """Put a decorator in place of Hydra's that composes the config and runs nothing, where Hydra is installed."""
    try:
        import hydra
    except ImportError:
        return

    def main(config_path: Any = None, config_name: Any = None, version_base: Any = None) -> Callable[[Any], Any]:
        def decorate(function: Any) -> Any:
            def stop(*_: Any, **__: Any) -> None:
                folder = (Path(inspect.getfile(function)).parent / (config_path or ".")).resolve()
                tell("hydra", [{"words": [], "help": "", "options": hydra_options(folder, str(config_name or "").removesuffix(".yaml"))}])

            return stop

        return decorate

    hydra.main = main


def hydra_options(folder: Path, name: str) -> Options:
    """Every leaf of the composed config, also of other choices of its groups, and the groups themselves."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(version_base=None, config_dir=str(folder)):
        first = compose(config_name=name, return_hydra_config=True)
        chosen = {group: choice for group, choice in first.hydra.runtime.choices.items() if not group.startswith("hydra/")}
        composed = OmegaConf.to_container(compose(config_name=name), resolve=False)
        groups = {group: sorted(path.stem for path in (folder / group).glob("*.y*ml")) for group in chosen if (folder / group).is_dir()}
        found = {key: hydra_option(key, value) for key, value in leaves(composed)}
        for group, choices in groups.items():
            for choice in choices:
                if choice == chosen[group]:
                    continue
                try:
                    other = OmegaConf.to_container(compose(config_name=name, overrides=[f"{group}={choice}"]), resolve=False)
                except Exception:  # noqa: BLE001  whatever OmegaConf and a resolver raise
                    continue  # it does not go with the other choices
                merge_choice(found, dict(leaves(other)), f"{group}={choice}")
    picks = [
        {"name": group, "form": "override", "type": "str", "default": chosen[group], "choices": choices, "group": True}
        for group, choices in groups.items()
    ]
    return [*({"help": f"one of the configs below {pick['name']}/", **pick} for pick in picks), *found.values()]


def merge_choice(found: dict[str, dict[str, Any]], other: dict[str, Any], when: str) -> None:
    """What another choice of a group has: keys of its own, and other defaults, which then are nobody's."""
    for key, value in other.items():
        if key not in found:
            found[key] = {**hydra_option(key, value), "default": None, "required": False, "help": f"with {when}: {value}"}
        elif (option := found[key])["default"] != hydra_option(key, value)["default"]:
            before = "" if option["default"] is None else f"{option['default']}; "
            option |= {"help": f"{option['help'] or before}with {when}: {value}", "default": None, "required": False}


def hydra_option(key: str, value: Any) -> dict[str, Any]:
    required = value == "???"
    many = isinstance(value, list)
    sample = (value[0] if value else "") if isinstance(value, list) else value
    kind = type(sample).__name__ if isinstance(sample, PLAIN) else "str"
    default = None if required or isinstance(value, dict) or not all_plain(value) else value
    return {"name": key, "form": "override", "type": kind, "many": many, "default": default, "required": required, "help": ""}


def all_plain(value: Any) -> bool:
    return all(isinstance(item, PLAIN) and "${" not in str(item) for item in (value if isinstance(value, list) else [value]))


def leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{key}.")
        elif not isinstance(value, dict):
            yield key, value
