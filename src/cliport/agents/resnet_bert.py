"""ResNet-50 trained on ImageNet (He et al. 2016) and DistilBERT (Sanh et al. 2019), frozen: CLIPort's baselines for CLIP."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import CheckpointError, ParameterError
from harness.torch.weights import load_into, read_weights

from .frozen import Frozen, calibrate, seeded


class ResNetBert(Frozen):
    """Features of ResNet-50 and DistilBERT; a text's feature is the mean over its words.

    Args:
        resnet: file of the ResNet's weights, as published by torchvision; empty means random.
        bert: folder of DistilBERT, as saved by transformers; empty means random weights and CLIP's vocabulary.
        images: False omits the ResNet.
        untrained: random weights by design; only the vocabulary of a given DistilBERT is used.
        copies: state dicts of `bert` and `resnet` to use as the weights; the vocabulary still comes from the folder.

    Raises:
        ParameterError: for a file or folder that does not exist.
        CheckpointError: for one that does not match.
    """

    averaged = True

    def __init__(
        self, resnet: str, bert: str, images: bool, untrained: bool, copies: Mapping[str, Mapping[str, Tensor]] | None = None
    ) -> None:
        super().__init__()
        copies = copies or {}
        problems = [f"model.resnet_weights={resnet}: no such file"] if resnet and not Path(resnet).is_file() else []
        problems += [f"model.bert={bert}: no such folder"] if bert and not Path(bert).is_dir() else []
        if problems:
            raise ParameterError(problems)
        self.visual = make_resnet("" if "resnet" in copies else resnet) if images else None
        self.channels = (256, 512, 1024, 2048) if images else ()
        self.encoder, self.tokenize = make_bert(bert, untrained) if "bert" not in copies else given_bert(bert, copies["bert"])
        self.sentence = self.word = int(self.encoder.config.dim)
        if self.visual is not None and "resnet" in copies:
            load_into(self.visual, copies["resnet"], Path("its copy of ResNet-50"))
        self.origin = said(resnet, bert, images, untrained, copies.keys())
        self.freeze()

    def modules(self) -> Mapping[str, nn.Module]:
        return ({} if self.visual is None else {"resnet": self.visual}) | {"bert": self.encoder}

    def stages(self) -> Sequence[nn.Module]:
        assert self.visual is not None
        return stages_of(self.visual)

    @torch.no_grad()
    def encode_text(self, text: str) -> tuple[Tensor, Tensor]:
        tokens = self.tokenize(text).to(self.encoder.device)
        words = self.encoder(input_ids=tokens[None]).last_hidden_state[0]
        return words.mean(0), words


def stages_of(visual: nn.Module) -> Sequence[nn.Module]:
    stem: Any = (visual.conv1, visual.bn1, visual.relu, visual.maxpool, visual.layer1)
    return nn.Sequential(*stem), visual.layer2, visual.layer3, visual.layer4


def make_resnet(file: str) -> nn.Module:
    import torchvision

    visual = seeded(lambda: torchvision.models.resnet50(weights=None))
    if file:
        load_into(visual, read_weights(Path(file)), Path(file))
    else:
        calibrate(visual, stages_of(visual))
    visual.fc = nn.Identity()
    return visual


def make_bert(folder: str, untrained: bool) -> tuple[nn.Module, Callable[[str], Tensor]]:
    """DistilBERT, and the function that tokenizes a text."""
    import open_clip
    from transformers import AutoTokenizer, DistilBertConfig, DistilBertModel

    if not folder:
        words = open_clip.get_tokenizer("RN50")
        encoder = seeded(lambda: DistilBertModel(DistilBertConfig(vocab_size=words.vocab_size)))
        return encoder, lambda text: torch.tensor([words.sot_token_id, *words.encode(text)[:75], words.eot_token_id])
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        encoder = (
            seeded(lambda: DistilBertModel(DistilBertConfig(vocab_size=len(tokenizer))))
            if untrained
            else DistilBertModel.from_pretrained(folder, local_files_only=True)
        )
    except (OSError, ValueError) as error:
        raise CheckpointError(f"model.bert={folder}: contains no DistilBERT: {str(error).partition(chr(10))[0]}") from error
    return encoder, lambda text: tokenizer(text, return_tensors="pt", truncation=True)["input_ids"][0]


def given_bert(folder: str, state: Mapping[str, Tensor]) -> tuple[nn.Module, Callable[[str], Tensor]]:
    """DistilBERT with the weights of a state dict, and the words of a folder, which needs no more than its vocab.txt.

    Raises:
        ParameterError: without the words.
        CheckpointError: where the weights are no DistilBERT's.
    """
    from transformers import DistilBertConfig, DistilBertModel, DistilBertTokenizerFast

    if not (Path(folder) / "vocab.txt").is_file() or not folder:
        raise ParameterError(
            [f"model.bert={folder}: must be a folder with DistilBERT's vocab.txt: the checkpoint has its weights, but not its words"]
        )
    tokenizer = DistilBertTokenizerFast.from_pretrained(folder, local_files_only=True)
    words = state.get("embeddings.word_embeddings.weight")
    encoder = seeded(lambda: DistilBertModel(DistilBertConfig(vocab_size=len(tokenizer) if words is None else len(words))))
    load_into(encoder, state, Path("its copy of DistilBERT"))
    return encoder, lambda text: tokenizer(text, return_tensors="pt", truncation=True)["input_ids"][0]


def said(resnet: str, bert: str, images: bool, untrained: bool, copies: Collection[str] = ()) -> str:
    parts = []
    if images and "resnet" in copies:
        parts.append("ResNet-50 has the checkpoint's weights")
    elif images:
        parts.append(f"ResNet-50 has the weights of {resnet}" if resnet else "ResNet-50 has RANDOM weights")
    if "bert" in copies:
        parts.append(f"DistilBERT has the checkpoint's weights and the words of {bert}")
    elif bert and not untrained:
        parts.append(f"DistilBERT has the weights of {bert}")
    else:
        parts.append("DistilBERT has RANDOM weights" + (f" and the words of {bert}" if bert else " and CLIP's words"))
    return "; ".join(parts) + (" by design" if untrained else "")
