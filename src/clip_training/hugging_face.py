"""CLIP as transformers' `CLIPModel` stores it: names of the weights in both directions, and its config.json.

Read from files that transformers wrote, and compared with its own forward pass in the tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import torch
from open_clip import CLIPTextCfg, CLIPVisionCfg
from torch import Tensor

from harness.errors import CheckpointError
from harness.torch.weights import listed

from .architecture import blocks

TOWERS = (("visual.transformer.resblocks", "vision_model.encoder.layers"), ("transformer.resblocks", "text_model.encoder.layers"))
BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
LAYER_NORMS = {
    "visual.ln_pre": "vision_model.pre_layrnorm",  # spelt like this by transformers
    "visual.ln_post": "vision_model.post_layernorm",
    "ln_final": "text_model.final_layer_norm",
}
SINGLE = {
    "logit_scale": "logit_scale",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
}
TRANSPOSED = {"visual.proj": "visual_projection.weight", "text_projection": "text_projection.weight"}
"""open_clip multiplies by these matrices from the right, transformers' linear layers from the left."""
ACTIVATIONS = {"quick_gelu": True, "gelu": False}
"""transformers' names of the activations that open_clip has too, and whether each is the one that open_clip calls quick."""
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "vision_config": {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "num_attention_heads": 12},
    "text_config": {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "num_attention_heads": 8, "eos_token_id": 49407},
}
"""What transformers takes where a config.json leaves it out."""
END = 49407
"""The last token of CLIP's vocabulary, which ends a text."""


def is_clip_model(state: Mapping[str, Tensor]) -> bool:
    return "logit_scale" in state and any(key.startswith("vision_model.") for key in state)


def names(vision_layers: int, text_layers: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each weight's name in open_clip, with those of transformers: one, or the three whose rows open_clip stacks."""
    for ours, theirs in (SINGLE | TRANSPOSED).items():
        yield ours, (theirs,)
    for kind in ("weight", "bias"):
        for ours, theirs in LAYER_NORMS.items():
            yield f"{ours}.{kind}", (f"{theirs}.{kind}",)
        for (ours, theirs), layers in zip(TOWERS, (vision_layers, text_layers), strict=True):
            for layer in range(layers):
                for part, other in BLOCK.items():
                    yield f"{ours}.{layer}.{part}.{kind}", (f"{theirs}.{layer}.{other}.{kind}",)
                attention = tuple(f"{theirs}.{layer}.self_attn.{part}_proj.{kind}" for part in "qkv")
                yield f"{ours}.{layer}.attn.in_proj_{kind}", attention


def from_clip_model(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The weights of a CLIPModel with open_clip's names.

    Raises:
        CheckpointError: naming weights that a CLIPModel of this depth has and the file lacks, and those that it does not have.
    """
    table = dict(names(*(blocks(state, f"{theirs}.") for _, theirs in TOWERS)))
    wanted = {name for theirs in table.values() for name in theirs}
    problems = [f"lacks {listed(wanted - state.keys())}"] if wanted - state.keys() else []
    problems += [f"has {listed(state.keys() - wanted)}, which a CLIPModel lacks"] if state.keys() - wanted else []
    if problems:
        raise CheckpointError(f"{path} looks like a CLIPModel of Hugging Face, but {'; it '.join(problems)}")
    joined = {ours: state[theirs[0]] if len(theirs) == 1 else torch.cat([state[name] for name in theirs]) for ours, theirs in table.items()}
    return {name: value.T if name in TRANSPOSED else value for name, value in joined.items()}


def to_clip_model(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The weights of an open_clip model with transformers' names.

    Raises:
        CheckpointError: naming the weights that a CLIPModel has no place for, and those that it needs.
    """
    state = {key.removeprefix("text."): value for key, value in state.items()}  # of a text tower that open_clip keeps apart
    table = dict(names(*(blocks(state, f"{ours}.") for ours, _ in TOWERS)))
    problems = [f"has no {listed(table.keys() - state.keys())}"] if table.keys() - state.keys() else []
    problems += [f"has {listed(state.keys() - table.keys())}"] if state.keys() - table.keys() else []
    if problems:
        raise CheckpointError(
            f"{source}: Hugging Face's CLIPModel cannot express this model, which {' and '.join(problems)}; it holds a plain vision "
            f"transformer and a text transformer, so use format=pt or format=safetensors"
        )
    found: dict[str, Tensor] = {}
    for ours, theirs in table.items():
        value = state[ours].T if ours in TRANSPOSED else state[ours]
        found |= dict(zip(theirs, value.chunk(len(theirs)) if len(theirs) > 1 else (value,), strict=True))
    return found


def config_beside(path: Path) -> dict[str, dict[str, Any]]:
    """What the config.json beside a file of weights states about each tower of a CLIPModel; empty without such a file.

    Raises:
        CheckpointError: for a config.json that cannot be read.
    """
    file = path.parent / "config.json"
    if not file.is_file():
        return {}
    try:
        stated = json.loads(file.read_text())
        if stated.get("model_type") != "clip":
            return {}
        # transformers of 2022 wrote `text_config_dict` too, and its values win
        return {key: {**DEFAULTS[key], **(stated.get(f"{key}_dict") or stated.get(key) or {})} for key in DEFAULTS}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{file} is not a configuration of transformers: {type(error).__name__} {error}") from error


def check_config(stated: Mapping[str, Mapping[str, Any]], model: Mapping[str, Any], name: str, path: Path) -> None:
    """Check what shapes do not show: that the open_clip model computes what config.json states.

    Args:
        stated: as `config_beside` returns it.
        model: the model's configuration in open_clip.
        name: its name.
        path: the file of weights.

    Raises:
        CheckpointError: naming all differences.
    """
    vision, text = stated["vision_config"], stated["text_config"]
    ours = {
        "vision_config": {"num_attention_heads": model["vision_cfg"]["width"] // model["vision_cfg"].get("head_width", 64)},
        "text_config": {"num_attention_heads": model["text_cfg"]["heads"]},
    }
    problems = []
    for key, tower in (("vision_config", vision), ("text_config", text)):
        expected = ours[key] | {"layer_norm_eps": 1e-5, "hidden_act": "quick_gelu" if model.get("quick_gelu") else "gelu"}
        problems += [f"{key}.{what} is {tower[what]}, in {name} {value}" for what, value in expected.items() if tower[what] != value]
    if text["eos_token_id"] not in (2, END, text.get("vocab_size", END + 1) - 1):  # 2 meant the highest token to transformers of 2022
        problems.append(f"text_config.eos_token_id is {text['eos_token_id']}, but open_clip ends a text at its highest token")
    if problems:
        raise CheckpointError(f"{path.parent / 'config.json'} does not fit the model: {'; '.join(problems)}")


def config_of(model: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The config.json of a CLIPModel for an open_clip model.

    Raises:
        CheckpointError: naming the settings of the model that a CLIPModel does not have.
    """
    vision, text = model["vision_cfg"], model["text_cfg"]
    special = [f"vision_cfg.{key}={vision[key]}" for key in unusual(vision, CLIPVisionCfg)]
    special += [f"text_cfg.{key}={text[key]}" for key in unusual(text, CLIPTextCfg)]
    if special:
        raise CheckpointError(f"{name}: Hugging Face's CLIPModel cannot express {', '.join(special)}; use format=pt or format=safetensors")
    vision, text = whole(vision, CLIPVisionCfg), whole(text, CLIPTextCfg)
    both = {"hidden_act": "quick_gelu" if model.get("quick_gelu") else "gelu", "projection_dim": model["embed_dim"], "layer_norm_eps": 1e-5}
    last = min(END, text["vocab_size"] - 1)
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": model["embed_dim"],
        "vision_config": both
        | {"model_type": "clip_vision_model", "image_size": vision["image_size"], "patch_size": vision["patch_size"], "num_channels": 3}
        | tower(vision, vision["width"] // vision["head_width"]),
        "text_config": both
        | {"model_type": "clip_text_model", "vocab_size": text["vocab_size"], "max_position_embeddings": text["context_length"]}
        | {"bos_token_id": last - 1, "eos_token_id": last}
        | tower(text, text["heads"]),
    }


def tower(stated: Mapping[str, Any], heads: int) -> dict[str, int]:
    return {
        "hidden_size": stated["width"],
        "intermediate_size": int(stated["width"] * stated["mlp_ratio"]),
        "num_hidden_layers": stated["layers"],
        "num_attention_heads": heads,
    }


EXPRESSED = {"layers", "width", "head_width", "mlp_ratio", "patch_size", "image_size", "context_length", "vocab_size", "heads"}
WITHOUT_EFFECT = {"patch_dropout", "output_tokens", "hf_tokenizer_name", "tokenizer_mode", "tokenizer_kwargs", "pad_id", "eos_id"}
"""Settings that do not change what a trained model computes."""


def whole(stated: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    """A tower's configuration with open_clip's defaults."""
    return {each.name: each.default for each in fields(kind) if each.default is not MISSING} | dict(stated)


def unusual(stated: Mapping[str, Any], kind: Any) -> list[str]:
    """The settings of a tower that differ from open_clip's defaults in a way that a CLIPModel cannot express."""
    usual = whole({}, kind)
    free = EXPRESSED | WITHOUT_EFFECT
    return sorted(key for key, value in stated.items() if key not in free and value != usual.get(key))
