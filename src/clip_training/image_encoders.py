"""Image encoders of timm, torchvision and open_clip, without their classification layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from open_clip.transform import PreprocessCfg
from torch import Tensor, nn

from harness.errors import ParameterError
from harness.settings import nearest
from harness.torch.weights import load_into, read_weights

from .config import ImageEncoderConfig, ModelConfig
from .model import make_clip


def image_encoder(settings: ImageEncoderConfig) -> tuple[nn.Module, PreprocessCfg]:
    """An encoder without its classification layer, and how its images are prepared.

    Raises:
        ParameterError: for an unknown library or name.
        CheckpointError: for a file of weights that does not fit.
    """
    library, _, name = settings.encoder.partition("/")
    makers = {"timm": from_timm, "torchvision": from_torchvision, "open_clip": from_open_clip}
    if library not in makers or not name:
        hint = nearest(settings.encoder, [f"{known}/{name or library}" for known in makers])
        raise ParameterError([f"image.encoder={settings.encoder}: must be timm/NAME, torchvision/NAME or open_clip/NAME{hint}"])
    trunk, preprocess = makers[library](name, settings)
    if settings.size:
        preprocess.size = settings.size
    return trunk, preprocess


def from_timm(name: str, settings: ImageEncoderConfig) -> tuple[nn.Module, PreprocessCfg]:
    import timm

    if not timm.is_model(name):
        raise ParameterError([f"image.encoder=timm/{name}: timm has no such model{nearest(name, timm.list_models())}"])
    stated = timm.get_pretrained_cfg(name)
    fixed = getattr(stated, "fixed_input_size", False)
    _, height, width = getattr(stated, "input_size", (3, 0, 0))
    if height != width and not settings.size:
        what = f"its images of {height} x {width} pixels are not square; pairs are cropped to squares"
        raise ParameterError([f"image.encoder=timm/{name}: {what}, so set image.size to a side that it accepts"])
    sized = {"img_size": settings.size} if settings.size and fixed else {}
    model = with_weights(settings, lambda pretrained: timm.create_model(name, pretrained=pretrained, **sized))
    config = timm.data.resolve_model_data_config(model)
    model.reset_classifier(0)
    return model, PreprocessCfg(config["input_size"][-1], "RGB", config["mean"], config["std"], config["interpolation"])


def from_torchvision(name: str, settings: ImageEncoderConfig) -> tuple[nn.Module, PreprocessCfg]:
    from torchvision import models

    if name not in models.list_models(module=models):
        known = models.list_models(module=models)
        raise ParameterError([f"image.encoder=torchvision/{name}: torchvision has no such classifier{nearest(name, known)}"])
    model = with_weights(settings, lambda pretrained: models.get_model(name, weights="DEFAULT" if pretrained else None))
    last = [place for place, module in model.named_modules() if isinstance(module, nn.Linear)][-1]
    model.set_submodule(last, nn.Identity())
    preset = models.get_model_weights(name).DEFAULT.transforms()
    return model, PreprocessCfg(preset.crop_size[0], "RGB", tuple(preset.mean), tuple(preset.std), preset.interpolation.value)


def from_open_clip(name: str, settings: ImageEncoderConfig) -> tuple[nn.Module, PreprocessCfg]:
    if settings.pretrained == "default":
        raise ParameterError(["image.pretrained=default: open_clip has several weights per model; set a tag or a file, or leave it empty"])
    clip = make_clip(ModelConfig(name, settings.pretrained))
    preprocess = PreprocessCfg(**clip.model.visual.preprocess_cfg)
    preprocess.size = clip.size
    return clip.model.visual, preprocess


def with_weights(settings: ImageEncoderConfig, make: Callable[[bool], nn.Module]) -> nn.Module:
    """A classifier with the weights that the settings ask for; `make` builds one with its library's weights or without."""
    if settings.pretrained in ("", "default"):
        try:
            return make(bool(settings.pretrained))
        except (OSError, RuntimeError) as error:  # raised by the network and the model hubs
            what = f"image.pretrained=default: the weights of {settings.encoder} cannot be downloaded: {error}"
            raise ParameterError([f"{what}; set a file, or leave it empty for random weights"]) from error
    path = Path(settings.pretrained)
    if not path.is_file():
        raise ParameterError([f"image.pretrained={path}: no such file; use default for {settings.encoder}'s own weights, empty for random"])
    model = make(False)
    load_into(model, read_weights(path), path)
    return model


def features_of(trunk: nn.Module, preprocess: PreprocessCfg, settings: ImageEncoderConfig) -> int:
    """The number of features that the trunk computes, found by running it on an empty image.

    Raises:
        ParameterError: when it does not accept images of that size, or does not return one vector per image.
    """
    training = trunk.training
    try:
        with torch.no_grad():
            found = trunk.eval()(torch.zeros(1, 3, preprocess.size, preprocess.size))
    except (RuntimeError, AssertionError) as error:
        raise ParameterError([f"image.size={settings.size}: {settings.encoder} does not accept this size: {error}"]) from error
    finally:
        trunk.train(training)
    if not isinstance(found, Tensor) or found.ndim != 2:
        raise ParameterError([f"image.encoder={settings.encoder}: does not return one vector per image"])
    return int(found.shape[1])
