"""Agents in checkpoints: how ours describe their agent, and loading agents from ours and the original's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.errors import CheckpointError, ParameterError
from harness.torch.weights import LIGHTNING, check_numbers, listed, load_into, read_checkpoint

from .agent import Agent, make
from .config import AgentConfig
from .frozen import Weights
from .original_checkpoint import described, is_original, renamed, strip_clip

KEY = "cliport"
"""Key under which a checkpoint describes its agent."""


def description(agent: Agent, weights: Weights) -> dict[str, Any]:
    """What a checkpoint states besides parameters, in plain types: the agent's form, and where to find its frozen weights."""
    trunk = None
    if agent.trunk is not None:
        found = {
            name: str(Path(source).resolve()) if Path(source).exists() else source for name, source in asdict(weights).items() if source
        }
        stated = {**asdict(weights), **found, **({"clip": "random"} if agent.trunk.random else {})}
        trunk = {"origin": agent.trunk.origin, "fingerprint": agent.trunk.fingerprint(), **stated}
    return {"agent": agent.config.plain(), "trunk": trunk}


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Parameters by name, and the description in a checkpoint of ours; empty for others.

    Raises:
        CheckpointError: for a file without parameters, or with some that are not finite.
    """
    loaded = read_checkpoint(path, LIGHTNING)
    state = loaded.get("state_dict") if isinstance(loaded, Mapping) else None
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path} is not a checkpoint of an agent: it has no state_dict that maps names to parameters")
    assert isinstance(loaded, Mapping)
    check_numbers(state, path)
    return {key.removeprefix("agent."): value for key, value in state.items()}, dict(loaded.get(KEY) or {})


def load_agent(path: Path, config: AgentConfig | None, weights: Weights | None, say: Callable[[str], Any]) -> Agent:
    """See `cliport.agents.load`."""
    state, said = read(path)
    if said:
        return load_ours(path, state, said, weights, say)
    if not is_original(state):
        raise CheckpointError(f"{path} is neither a checkpoint of this project nor of the original: it contains {described(state)}")
    if config is None:
        raise CheckpointError(f"{path} is a checkpoint of the original, which does not state its agent: it contains {described(state)}")
    return load_original(path, state, config, weights or Weights(clip=str(path)), say)


def load_ours(path: Path, state: dict[str, Tensor], said: dict[str, Any], weights: Weights | None, say: Callable[[str], Any]) -> Agent:
    """The agent that a checkpoint describes.

    Raises:
        CheckpointError: when its frozen weights are not available, or differ from those it was trained with.
    """
    config, trunk = AgentConfig.of(said["agent"]), said["trunk"]
    stored = None if trunk is None else Weights(trunk["clip"], trunk["bert"], trunk["resnet"])
    try:
        agent = make(config, weights or stored, 0, say)
    except ParameterError as error:
        raise CheckpointError(f"{path}: its frozen weights are no longer where they were: {error}") from error
    if agent.trunk is not None and trunk is not None and agent.trunk.fingerprint() != trunk["fingerprint"]:
        raise CheckpointError(f"{path} was trained with other frozen weights ({trunk['origin']}) than those available now ({agent.origin})")
    agent.load_state_dict(statistics_of(state), strict=False)  # creates their buffers, which a new agent lacks
    load_into(agent, state, path)
    return agent


def load_original(path: Path, state: dict[str, Tensor], config: AgentConfig, weights: Weights, say: Callable[[str], Any]) -> Agent:
    """An agent with the parameters of the original's checkpoint.

    Raises:
        CheckpointError: when the file lacks parameters of the agent, or has them in other shapes.
    """
    agent = make(config, weights, 0, say)
    matched = renamed(state)
    wanted, statistics = agent.state_dict(), statistics_of(matched)
    lacking = wanted.keys() - matched.keys()
    unmatched = matched.keys() - wanted.keys() - statistics.keys()
    differing = {key for key in wanted.keys() & matched.keys() if wanted[key].shape != matched[key].shape}
    if lacking or differing:
        problems = [f"lacks {listed(lacking)}"] if lacking else []
        problems += [f"has other shapes for {listed(differing)}"] if differing else []
        problems += [f"has unmatched {listed(unmatched)}"] if unmatched else []
        raise CheckpointError(f"{path} does not contain the agent {config.agent} with these sizes and fusions: it {'; '.join(problems)}")
    say(f"{path}: {len(wanted)} parameters matched; unmatched: {', '.join(sorted(unmatched)) or 'none'}")
    agent.load_state_dict({key: value for key, value in matched.items() if key not in unmatched})
    return agent


def statistics_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries that replace a frozen encoder's running statistics."""
    return {key: value for key, value in state.items() if ".statistics." in key}


def share(agent: Agent, path: Path, say: Callable[[str], Any]) -> None:
    """Copy the parameters of a checkpoint, ours or the original's, that match the agent's in name and shape.

    Raises:
        CheckpointError: when none match.
    """
    state, said = read(path)
    same_trunk = has_same_trunk(agent, state, said)
    if not said:
        if not is_original(state):
            raise CheckpointError(f"{path} is neither a checkpoint of this project nor of the original: it contains {described(state)}")
        state = renamed(state)
    own, statistics = agent.state_dict(), statistics_of(state)
    shared = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    if not shared:
        raise CheckpointError(f"{path} shares no parameters with the agent {agent.config.agent}: it contains {described(state)}")
    new, unused = own.keys() - shared.keys(), state.keys() - shared.keys() - statistics.keys()
    text = f"{path}: {len(shared)} of {len(own)} parameters kept"
    text += f"; initialized anew: {listed(new)}" if new else ""
    say(text + (f"; not used: {listed(unused)}" if unused else ""))
    if agent.trunk is not None and not same_trunk:
        say(f"{path} was trained with other frozen weights than the current ones: {agent.origin}")
    agent.load_state_dict(own | shared | (statistics if same_trunk else {}))


def has_same_trunk(agent: Agent, state: Mapping[str, Tensor], said: Mapping[str, Any]) -> bool:
    """Whether a checkpoint was trained with the agent's frozen weights; for the original's CLIP one convolution is compared."""
    if agent.trunk is None:
        return False
    if said:
        return bool(said["trunk"]) and said["trunk"]["fingerprint"] == agent.trunk.fingerprint()
    name = "layer1.0.conv1.weight"
    theirs, ours = strip_clip(state).get(f"visual.{name}"), agent.trunk.visual
    return theirs is not None and ours is not None and torch.equal(theirs.float(), ours.get_parameter(name).cpu())


def weights_in(path: Path) -> Weights | None:
    """The origin of a checkpoint's frozen weights, which the original's contain themselves; None if it does not state any."""
    state, said = read(path)
    if said:
        return Weights(**{key: said["trunk"][key] for key in ("clip", "bert", "resnet")}) if said["trunk"] else None
    return Weights(clip=str(path)) if strip_clip(state) else None


def description_of(path: Path) -> str:
    """What a checkpoint is, in words."""
    state, said = read(path)
    kind = "parameters of an agent, without the state of its training" if said else "a checkpoint of another program"
    return f"{kind}: {described(state)}"


def config_in(path: Path) -> AgentConfig | None:
    """The form of the agent in a checkpoint of ours; None for the original's, which do not state it."""
    _, said = read(path)
    return AgentConfig.of(said["agent"]) if said else None
