"""Agents in checkpoints: how ours describe their agent, and loading agents from ours and the original's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import CheckpointError, ParameterError
from harness.torch.weights import LIGHTNING, check_numbers, listed, load_into, read_checkpoint

from .agent import Agent, make, unfilled
from .config import AgentConfig
from .frozen import Weights
from .original_checkpoint import Translation, described, is_original, state_in, translated, unprefixed

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
    state = state_in(loaded, path)
    assert isinstance(loaded, Mapping)
    check_numbers(state, path)
    return unprefixed(state), dict(loaded.get(KEY) or {})


def load_agent(path: Path, config: AgentConfig | None, weights: Weights | None, say: Callable[[str], Any]) -> Agent:
    """See `cliport.agents.load`."""
    state, said = read(path)
    if said:
        return load_ours(path, state, said, weights, say)
    if not is_original(state):
        raise CheckpointError(f"{path} is neither a checkpoint of this project nor of the original: it contains {described(state)}")
    if config is None:
        raise CheckpointError(f"{path} is a checkpoint of the original, which does not state its agent: it contains {described(state)}")
    return load_original(path, state, config, weights, say)


def load_ours(path: Path, state: dict[str, Tensor], said: dict[str, Any], weights: Weights | None, say: Callable[[str], Any]) -> Agent:
    """The agent that a checkpoint describes.

    Raises:
        CheckpointError: when its frozen weights are not available, or differ from those it was trained with.
    """
    config, trunk = AgentConfig.of(said["agent"]), said["trunk"]
    stored = None if trunk is None else stored_weights(trunk)
    try:
        agent = make(config, weights or stored, 0, say)
    except ParameterError as error:
        raise CheckpointError(f"{path}: its frozen weights are no longer where they were: {error}") from error
    if agent.trunk is not None and trunk is not None and agent.trunk.fingerprint() != trunk["fingerprint"]:
        raise CheckpointError(f"{path} was trained with other frozen weights ({trunk['origin']}) than those available now ({agent.origin})")
    agent.load_state_dict(statistics_of(state), strict=False)  # creates their buffers, which a new agent lacks
    load_into(agent, state, path)
    return agent


def load_original(path: Path, state: dict[str, Tensor], config: AgentConfig, weights: Weights | None, say: Callable[[str], Any]) -> Agent:
    """An agent with the parameters of the original's checkpoint and the original's geometry.

    Its frozen encoders are the copies in the checkpoint, unless `weights` names others.

    Raises:
        CheckpointError: when the file lacks parameters of the agent, or has them in other shapes.
    """
    found = translated(state, path)
    taken = weights_of(found, path, weights)
    copies = {kind: copy for kind, copy in found.encoders.items() if kind != "clip" or taken.clip == str(path)}
    agent = unfilled(replace(config, geometry="original"), taken, say, copies)
    unmatched = check_names(agent, found, path)
    matched = len(state) - len(unmatched)
    say(f"{path}: {matched} of {len(state)} tensors matched, {told(found)}; unmatched: {', '.join(sorted(unmatched)) or 'none'}")
    kept = {key: value.float() for key, value in found.parameters.items() if found.names[key] not in unmatched}
    agent.load_state_dict(kept, assign=True)
    return agent


def check_names(agent: Agent, found: Translation, path: Path) -> set[str]:
    """The original's names of parameters that the agent lacks.

    Raises:
        CheckpointError: if the checkpoint lacks parameters of the agent, or has them in other shapes.
    """
    wanted, statistics = agent.state_dict(), statistics_of(found.parameters)
    lacking = wanted.keys() - found.parameters.keys()
    unmatched = {found.names[key] for key in found.parameters.keys() - wanted.keys() - statistics.keys()}
    differing = {key for key in wanted.keys() & found.parameters.keys() if wanted[key].shape != found.parameters[key].shape}
    if lacking or differing:
        problems = [f"lacks {listed(lacking)}"] if lacking else []
        problems += [f"has other shapes for {listed(found.names[key] for key in differing)}"] if differing else []
        problems += [f"has unmatched {listed(unmatched)}"] if unmatched else []
        name = agent.config.agent
        raise CheckpointError(f"{path} does not contain the agent {name} with these sizes and fusions: it {'; '.join(problems)}")
    return unmatched


def weights_of(found: Translation, path: Path, stated: Weights | None) -> Weights:
    """The origin of the frozen weights of a checkpoint of the original: its own copies, and the given vocabulary of DistilBERT."""
    return replace(
        stated or Weights(""),
        clip=(stated.clip if stated else "") or (str(path) if "clip" in found.encoders else ""),
        bert_weights=str(path) if "bert" in found.encoders else "",
    )


def told(found: Translation) -> str:
    """Which frozen encoders a checkpoint of the original contains."""
    names = {"clip": "CLIP", "bert": "DistilBERT", "resnet": "ResNet-50"}
    return "with " + (
        " and ".join(f"{len(copies)} copies of {names[kind]}" for kind, copies in found.copies.items()) or "no frozen encoder"
    )


def statistics_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries that replace a frozen encoder's running statistics."""
    return {key: value for key, value in state.items() if ".statistics." in key}


def share(agent: Agent, path: Path, say: Callable[[str], Any]) -> None:
    """Copy the parameters of a checkpoint, ours or the original's, that match the agent's in name and shape.

    Raises:
        CheckpointError: when none match.
    """
    state, said = read(path)
    encoders: Mapping[str, Mapping[str, Tensor]] = {}
    if not said:
        if not is_original(state):
            raise CheckpointError(f"{path} is neither a checkpoint of this project nor of the original: it contains {described(state)}")
        found = translated(state, path)
        state, encoders = found.parameters, found.encoders
    same_trunk = has_same_trunk(agent, said, encoders)
    own, statistics = agent.state_dict(), statistics_of(state)
    fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    shared = {key: value for key, value in fitting.items() if same_trunk or key not in statistics}
    if not shared:
        raise CheckpointError(f"{path} shares no parameters with the agent {agent.config.agent}: it contains {described(state)}")
    new, unused = own.keys() - shared.keys(), state.keys() - shared.keys() - statistics.keys()
    text = f"{path}: {len(shared)} of {len(own)} parameters kept"
    text += f"; initialized anew: {listed(new)}" if new else ""
    say(text + (f"; not used: {listed(unused)}" if unused else ""))
    geometry = AgentConfig.of(said["agent"]).geometry if said else "original"
    if geometry != agent.config.geometry:
        say(
            f"{path} has {geometry} geometry, and this agent has {agent.config.geometry} geometry: rotations, scores and cells differ by "
            f"half a pixel; model.geometry={geometry} keeps that of the checkpoint"
        )
    if agent.trunk is not None and not same_trunk:
        say(f"{path} was trained with other frozen weights than the current ones: {agent.origin}")
    agent.load_state_dict(own | shared | (statistics if same_trunk else {}))


def has_same_trunk(agent: Agent, said: Mapping[str, Any], encoders: Mapping[str, Mapping[str, Tensor]]) -> bool:
    """Whether a checkpoint was trained with the agent's frozen weights: `said` describes one of ours, `encoders` are the original's."""
    if agent.trunk is None:
        return False
    if said:
        return bool(said["trunk"]) and said["trunk"]["fingerprint"] == agent.trunk.fingerprint()
    modules = agent.trunk.modules()
    return modules.keys() <= encoders.keys() and all(has_weights(module, encoders[kind]) for kind, module in modules.items())


def has_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> bool:
    """Whether a module's parameters have the values of `weights`, which may be in half precision; statistics do not count."""
    return all(
        name in weights and torch.equal(weights[name].float(), parameter.float().cpu()) for name, parameter in module.named_parameters()
    )


def weights_in(path: Path) -> Weights | None:
    """The origin of a checkpoint's frozen weights, which the original's contain themselves; None if it does not state any."""
    state, said = read(path)
    if said:
        return stored_weights(said["trunk"]) if said["trunk"] else None
    found = translated(state, path)
    return weights_of(found, path, None) if found.encoders else None


def stored_weights(trunk: Mapping[str, Any]) -> Weights:
    """The origin of its frozen weights that a checkpoint of ours states."""
    return Weights(**{key.name: trunk[key.name] for key in fields(Weights) if key.name in trunk})


def geometry_in(path: Path) -> str:
    """The geometry of the agent in a checkpoint, ours or the original's."""
    _, said = read(path)
    return AgentConfig.of(said["agent"]).geometry if said else "original"


def description_of(path: Path) -> str:
    """What a checkpoint is, in words."""
    state, said = read(path)
    kind = "parameters of an agent, without the state of its training" if said else "a checkpoint of another program"
    return f"{kind}: {described(state)}"


def config_in(path: Path) -> AgentConfig | None:
    """The form of the agent in a checkpoint of ours; None for the original's, which do not state it."""
    _, said = read(path)
    return AgentConfig.of(said["agent"]) if said else None
