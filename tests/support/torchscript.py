"""TorchScript archives for tests."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn


def scripted(model: nn.Module, path: Path) -> Path:
    """The tree of modules and tensors of a model as a program: half precision cannot be traced on every CPU, but it can be stored."""

    class Tree(nn.Module):
        def __init__(self, like: nn.Module) -> None:
            super().__init__()
            for name, child in like.named_children():
                self.add_module(name, Tree(child))
            for name, parameter in like.named_parameters(recurse=False):
                self.register_parameter(name, parameter)
            for name, buffer in like.named_buffers(recurse=False):
                self.register_buffer(name, buffer)

        def forward(self) -> int:
            return 0

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Tree(model)).save(str(path))
    return path
