"""Agents in files: what a checkpoint of ours says of its agent, and agents back from ours and the original's."""

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
"""Under which a checkpoint describes its agent."""


def description(agent: Agent, weights: Weights) -> dict[str, Any]:
    """What a checkpoint must say besides parameters, in plain types: the agent's form, and where its frozen weights are found again."""
    trunk = None
    if agent.trunk is not None:
        found = {
            name: str(Path(source).resolve()) if Path(source).exists() else source for name, source in asdict(weights).items() if source
        }
        stated = {**asdict(weights), **found, **({"clip": "random"} if agent.trunk.random else {})}
        trunk = {"origin": agent.trunk.origin, "fingerprint": agent.trunk.fingerprint(), **stated}
    return {"agent": agent.config.plain(), "trunk": trunk}


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Parameters by name, and the description that ours have; empty for others'.

    Raises:
        CheckpointError: for a file that holds no parameters, or some that are no numbers.
    """
    loaded = read_checkpoint(path, LIGHTNING)
    state = loaded.get("state_dict") if isinstance(loaded, Mapping) else None
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path} is no checkpoint of an agent: it has no state_dict with parameters by name")
    assert isinstance(loaded, Mapping)
    check_numbers(state, path)
    return {key.removeprefix("agent."): value for key, value in state.items()}, dict(loaded.get(KEY) or {})


def load_agent(path: Path, config: AgentConfig | None, weights: Weights | None, say: Callable[[str], Any]) -> Agent:
    """See `cliport.agents.load`."""
    state, said = read(path)
    if said:
        return load_ours(path, state, said, weights, say)
    if not is_original(state):
        raise CheckpointError(f"{path} is neither this project's checkpoint nor one of the original: it holds {described(state)}")
    if config is None:
        raise CheckpointError(f"{path} is a checkpoint of the original, which does not say of which agent: it holds {described(state)}")
    return load_original(path, state, config, weights or Weights(clip=str(path)), say)


def load_ours(path: Path, state: dict[str, Tensor], said: dict[str, Any], weights: Weights | None, say: Callable[[str], Any]) -> Agent:
    """The agent that a checkpoint describes.

    Raises:
        CheckpointError: when its frozen weights are not to be had, or differ from those that it was trained with.
    """
    config, trunk = AgentConfig.of(said["agent"]), said["trunk"]
    stored = None if trunk is None else Weights(trunk["clip"], trunk["bert"], trunk["resnet"])
    try:
        agent = make(config, weights or stored, 0, say)
    except ParameterError as error:
        raise CheckpointError(f"{path}: its frozen weights are not where they were: {error}") from error
    if agent.trunk is not None and trunk is not None and agent.trunk.fingerprint() != trunk["fingerprint"]:
        raise CheckpointError(f"{path} was trained with other frozen weights ({trunk['origin']}) than are to be had now ({agent.origin})")
    agent.load_state_dict(statistics_of(state), strict=False)  # makes room for them
    load_into(agent, state, path)
    return agent


def load_original(path: Path, state: dict[str, Tensor], config: AgentConfig, weights: Weights, say: Callable[[str], Any]) -> Agent:
    """An agent with the parameters of the original's checkpoint.

    Raises:
        CheckpointError: where the file lacks parameters of the agent, or has them in other shapes.
    """
    agent = make(config, weights, 0, say)
    matched = renamed(state)
    wanted, statistics = agent.state_dict(), statistics_of(matched)
    lacking = wanted.keys() - matched.keys()
    unmatched = matched.keys() - wanted.keys() - statistics.keys()
    differing = {key for key in wanted.keys() & matched.keys() if wanted[key].shape != matched[key].shape}
    if lacking or differing:
        problems = [f"lacks {listed(lacking)}"] if lacking else []
        problems += [f"has other shapes of {listed(differing)}"] if differing else []
        problems += [f"has {listed(unmatched)}, unmatched"] if unmatched else []
        raise CheckpointError(f"{path} is not of the agent {config.agent} with these sizes and fusions: it {'; '.join(problems)}")
    say(f"{path}: {len(wanted)} parameters matched; unmatched: {', '.join(sorted(unmatched)) or 'none'}")
    agent.load_state_dict({key: value for key, value in matched.items() if key not in unmatched})
    return agent


def statistics_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those parameters that stand in for a frozen encoder's running statistics."""
    return {key: value for key, value in state.items() if ".statistics." in key}


def share(agent: Agent, path: Path, say: Callable[[str], Any]) -> None:
    """Give an agent the parameters of a checkpoint, ours or the original's, that it has by the same name and shape.

    Raises:
        CheckpointError: when it has none of them.
    """
    state, said = read(path)
    same_trunk = has_same_trunk(agent, state, said)
    if not said:
        if not is_original(state):
            raise CheckpointError(f"{path} is neither this project's checkpoint nor one of the original: it holds {described(state)}")
        state = renamed(state)
    own, statistics = agent.state_dict(), statistics_of(state)
    shared = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    if not shared:
        raise CheckpointError(f"{path} shares no parameter with the agent {agent.config.agent}: it holds {described(state)}")
    anew, left = own.keys() - shared.keys(), state.keys() - shared.keys() - statistics.keys()
    said_anew = f"; begun anew: {listed(anew)}" if anew else ""
    say(f"{path}: {len(shared)} of {len(own)} parameters kept{said_anew}{f'; not used: {listed(left)}' if left else ''}")
    if agent.trunk is not None and not same_trunk:
        say(f"{path} was trained with other frozen weights than these: {agent.origin}")
    agent.load_state_dict(own | shared | (statistics if same_trunk else {}))


def has_same_trunk(agent: Agent, state: Mapping[str, Tensor], said: Mapping[str, Any]) -> bool:
    """Whether a checkpoint was trained with the agent's frozen weights; of the original's CLIP one convolution is compared."""
    if agent.trunk is None:
        return False
    if said:
        return bool(said["trunk"]) and said["trunk"]["fingerprint"] == agent.trunk.fingerprint()
    name = "layer1.0.conv1.weight"
    theirs, ours = strip_clip(state).get(f"visual.{name}"), agent.trunk.visual
    return theirs is not None and ours is not None and torch.equal(theirs.float(), ours.get_parameter(name).cpu())


def weights_in(path: Path) -> Weights | None:
    """Where a checkpoint says that its frozen weights come from: for the original's, from itself. None where it does not say."""
    state, said = read(path)
    if said:
        return Weights(**{key: said["trunk"][key] for key in ("clip", "bert", "resnet")}) if said["trunk"] else None
    return Weights(clip=str(path)) if strip_clip(state) else None


def description_of(path: Path) -> str:
    """What a checkpoint is, in words."""
    state, said = read(path)
    return (
        f"{'parameters of an agent, without the state of its training' if said else 'a checkpoint of another program'}: {described(state)}"
    )


def config_in(path: Path) -> AgentConfig | None:
    """The form of the agent in a checkpoint of ours; None for the original's, which do not say."""
    _, said = read(path)
    return AgentConfig.of(said["agent"]) if said else None
