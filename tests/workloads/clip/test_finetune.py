"""Fine-tuning of two encoders: their outputs, the loss, and rebuilding the model from its file alone."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from coloured_squares import COLOURS
from evaluating import evaluated
from runs import BRIEF, same
from support.lines import run_line, tells_before
from support.training import broken_off_at, job_in, taken
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertModel, BertTokenizerFast

from clip_training.config import FinetuneConfig, ImageEncoderConfig, ModelConfig, TextEncoderConfig
from clip_training.distillation import SelfDistillation, targets
from clip_training.encoders import make_encoders, masked_mean
from clip_training.finetune import finetune
from clip_training.image_encoders import image_encoder
from clip_training.model import normalised
from clip_training.model_files import load_clip
from harness.checkpoint import find
from harness.errors import CheckpointError, NotFiniteError, ParameterError
from harness.report import Recorder
from harness.settings import merge

IMAGE = ImageEncoderConfig("timm/test_resnet.r160_in1k", "", 32)
SHORT = {
    "image.encoder": IMAGE.encoder,
    "image.pretrained": "",
    "image.size": 32,
    "text.context": 12,
    "width": 24,
    **BRIEF,
    "optim.warmup": 2,
    "optim.lr": 0.003,
    "train.epochs": 2,
    "train.debug_images": 2,
}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as transformers writes it, with a tokenizer for the captions' words and a one-layer transformer."""
    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "square", "on", "around", *COLOURS]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(3)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=16, **shape)).save_pretrained(folder)
    return folder


def tuned(folder: Path, output: Path, bert: Path | str, report: Recorder | None = None, **options: Any) -> dict[str, Tensor]:
    """Fine-tune, and return the final weights."""
    paths = taken(options)
    stated = {"text.encoder": str(bert), **SHORT, **{key.replace("__", "."): value for key, value in options.items()}}
    path = finetune(job_in(output, merge(FinetuneConfig, None, stated.items()), folder, report, **paths))
    return torch.load(path, weights_only=True)["state_dict"]


def test_a_text_is_the_mean_of_its_words_without_the_padding(bert: Path) -> None:
    clip, _ = make_encoders(IMAGE, TextEncoderConfig(str(bert), context=12), 24)
    clip.model.eval()
    tokens = clip.tokenize("a red square")
    assert tokens.shape == (2, 12)
    assert tokens[1].tolist() == [1] * 5 + [0] * 7
    alone = BertModel.from_pretrained(bert).eval()
    with torch.no_grad():
        hidden = alone(input_ids=tokens[:1, :5]).last_hidden_state[0]
        expected = clip.model.text.projection(hidden.mean(0))
        assert torch.allclose(clip.model.encode_text(tokens[None])[0], expected, atol=1e-5)
    rows = torch.arange(12.0).reshape(1, 4, 3)
    assert masked_mean(rows, torch.tensor([[1, 0, 1, 0]])).tolist() == [[3, 4, 5]]
    assert masked_mean(rows, torch.zeros(1, 4)).tolist() == [[0, 0, 0]]


def test_a_text_may_use_its_encoder_s_pooled_output(bert: Path) -> None:
    clip, _ = make_encoders(IMAGE, TextEncoderConfig(str(bert), avg_word_embs=False, context=12), 24)
    tokens = clip.tokenize("a red square")
    with torch.no_grad():
        clip.model.eval()
        pooled = BertModel.from_pretrained(bert).eval()(input_ids=tokens[:1], attention_mask=tokens[1:]).pooler_output
        assert torch.allclose(clip.model.encode_text(tokens[None]), clip.model.text.projection(pooled), atol=1e-5)


@pytest.mark.parametrize(
    ("encoder", "size", "width"),
    [
        ("timm/test_resnet.r160_in1k", 32, None),
        ("timm/test_vit.r160_in1k", 64, 64),
        ("torchvision/shufflenet_v2_x0_5", 64, 1024),
        ("torchvision/mobilenet_v3_small", 64, 1024),
        ("open_clip/tabletop-tiny", 0, 128),
    ],
)
def test_an_image_encoder_of_any_library(encoder: str, size: int, width: int | None, bert: Path) -> None:
    settings = ImageEncoderConfig(encoder, "", size)
    clip, _ = make_encoders(settings, TextEncoderConfig(str(bert), context=12), 24)
    clip.model.eval()
    trunk, preprocess = image_encoder(settings)
    features = trunk.eval()(torch.zeros(2, 3, clip.size, clip.size))
    assert features.ndim == 2
    assert width in (None, features.shape[1])
    assert clip.size == (size or 64) == preprocess.size
    assert clip.model.encode_image(torch.zeros(2, 3, clip.size, clip.size)).shape == (2, 24)


@pytest.mark.parametrize(
    ("image", "text", "message"),
    [
        ({"encoder": "resnet50"}, {}, r"image\.encoder=resnet50: must be timm/NAME.*did you mean \w+/resnet50"),
        ({"encoder": "timm/resnet5O"}, {}, r"timm has no such model \(did you mean resnet5"),
        ({"encoder": "torchvision/resnet5"}, {}, r"torchvision has no such classifier \(did you mean"),
        ({"encoder": "open_clip/ViT-B-32", "pretrained": "default"}, {}, "set a tag or a file, or leave it empty"),
        ({"encoder": "timm/vit_base_patch16_sapiens2", "size": 0}, {}, r"its images of 1024 x 768 pixels are not square"),
        ({"pretrained": "nowhere.pt"}, {}, r"image\.pretrained=nowhere\.pt: no such file"),
        ({"encoder": "timm/test_vit.r160_in1k", "size": 41}, {}, r"image\.size=41: .* does not accept this size"),
        ({}, {"encoder": ""}, r"text\.encoder is required"),
    ],
)
def test_unknown_encoders(image: dict[str, Any], text: dict[str, Any], message: str, bert: Path) -> None:
    stated = {"encoder": IMAGE.encoder, "pretrained": "", "size": 32} | image
    with pytest.raises(ParameterError, match=message):
        make_encoders(ImageEncoderConfig(**stated), TextEncoderConfig(**({"encoder": str(bert)} | text)), 24)


def test_a_folder_without_an_encoder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"text\.encoder=.*: neither a folder with config\.json"):
        make_encoders(IMAGE, TextEncoderConfig(str(tmp_path)), 24)


def test_pretrained_weights_from_a_file(bert: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    model = timm.create_model("test_resnet", num_classes=1000)
    torch.save(model.state_dict(), tmp_path / "classifier.pt")
    trunk, _ = image_encoder(ImageEncoderConfig(IMAGE.encoder, str(tmp_path / "classifier.pt"), 32))
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in trunk.state_dict().items())
    clip, _ = make_encoders(IMAGE, TextEncoderConfig(str(bert)), 24)
    assert torch.equal(
        clip.model.text.transformer.embeddings.word_embeddings.weight,
        BertModel.from_pretrained(bert).embeddings.word_embeddings.weight,
    )


def test_the_loss_is_contrastive_plus_divergence_from_the_teacher_s_targets(bert: Path) -> None:
    """One step compared with the definition."""
    clip, said = make_encoders(ImageEncoderConfig("open_clip/tabletop-tiny", ""), TextEncoderConfig(str(bert), context=12), 24)
    settings = merge(FinetuneConfig, None, {"distillation.weight": 2.0}.items())
    images = torch.randint(0, 256, (6, 3, 64, 64), dtype=torch.uint8)
    tokens = torch.stack([clip.tokenize(f"a {colour} square") for colour in (*COLOURS, "square")])
    module = SelfDistillation(
        clip,
        said,
        settings.distillation,
        settings.optim,
        total_steps=10,
        heldout=None,
        batch_size=6,
        identity={},
        report=Recorder(),
    )
    batch = type("Batch", (), {"images": images, "tokens": tokens, "index": torch.arange(6), "skipped": {}})()
    clip.model.eval()
    module.targets = module.soft_targets(batch)
    loss = module.contrast(*module(images, tokens)).detach()

    out = clip.model(normalised(images, module.mean, module.std), tokens)
    a, b, scale = out["image_features"], out["text_features"], out["logit_scale"]
    logits, right = scale * a @ b.T, torch.arange(6)
    one, other = targets(a.detach(), b.detach(), settings.distillation)
    kl = sum((t * (t.log() - row.log_softmax(1))).sum(1).mean() for t, row in ((one, logits), (other, logits.T))) / 2
    ce = (functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)) / 2
    assert float(loss) == pytest.approx(float((ce + 2 * kl).detach()), rel=1e-5)


def test_it_learns_and_the_teacher_follows(squares: Path, bert: Path, tmp_path: Path) -> None:
    report = Recorder()
    loop = {"train__epochs": 12, "train__validate_every": 12, "train__batch_size": 20, "optim__lr": 3e-3}
    weights = tuned(squares, tmp_path, bert, report, image__encoder="open_clip/tabletop-tiny", image__size=0, **loop)
    recall, chance = (report.scalars["recall@1", what] for what in ("image to text", "chance"))
    assert recall[0][1] <= 2 * chance[0][1]
    assert recall[-1][1] > 4 * chance[-1][1]
    state = torch.load(find(tmp_path), weights_only=True)["state_dict"]
    name = "visual.projection.weight"
    assert torch.equal(state[f"model.{name}"], weights[name])
    assert (state[f"teacher.{name}"] - weights[name]).abs().max() > 0
    assert not any(key.startswith(("teacher.", "model.")) for key in weights)


@pytest.mark.parametrize("micro_batch", [0, 6])
def test_a_resumed_run_ends_like_an_uninterrupted_one(
    micro_batch: int, squares: Path, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This includes the teacher and its targets; with micro-batches, in OTTER's form, the temperature of its own, too."""
    options = {"train__micro_batch": micro_batch, "distillation__momentum": 0.5}
    if micro_batch:
        options |= {f"distillation__{name}": True for name in ("own_temperature", "remove_diagonal", "rows_first", "momentum_warmup")}
    unbroken = tuned(squares, tmp_path / "unbroken", bert, **options)
    with broken_off_at(3):
        tuned(squares, tmp_path / "broken", bert, **options)
    assert same(tuned(squares, tmp_path / "broken", bert, resume=find(tmp_path / "broken"), **options), unbroken)
    last = [torch.load(find(tmp_path / name), weights_only=True)["state_dict"] for name in ("unbroken", "broken")]
    assert same(*last)
    with pytest.raises(CheckpointError, match=r"distillation\.momentum was 0\.5, is now 0\.999"):
        tuned(squares, tmp_path / "other", bert, resume=find(tmp_path / "unbroken"), train__micro_batch=micro_batch)


def test_a_locked_image_encoder_stays_as_it_was_and_its_statistics_too(squares: Path, bert: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    start = timm.create_model("test_resnet", num_classes=1000).train()
    start(torch.randn(4, 3, 32, 32))  # so that a batch is counted
    torch.save(start.state_dict(), tmp_path / "classifier.pt")
    options = {"image__pretrained": str(tmp_path / "classifier.pt"), "lock__image": True, "train__max_steps": 2}
    weights = tuned(squares, tmp_path / "frozen", bert, lock__bn_stats=True, **options)
    trunk = {name.removeprefix("visual.trunk."): value for name, value in weights.items() if name.startswith("visual.trunk.")}
    assert any(name.endswith("num_batches_tracked") for name in trunk)
    assert same(trunk, {name: start.state_dict()[name] for name in trunk})
    moving = tuned(squares, tmp_path / "moving", bert, **options)
    changed = {name.rpartition(".")[2] for name, value in trunk.items() if not torch.equal(moving[f"visual.trunk.{name}"], value)}
    assert changed == {"running_mean", "running_var", "num_batches_tracked"}


def test_the_file_alone_is_enough_to_rebuild_the_model(squares: Path, bert: Path, tmp_path: Path) -> None:
    """The folder of the text encoder is gone, so the tokenizer comes from the file too: final weights or a checkpoint."""
    gone, report = tmp_path / "gone", Recorder()
    gone.mkdir()
    for path in bert.iterdir():
        (gone / path.name).write_bytes(path.read_bytes())
    weights = tuned(squares, tmp_path / "run", gone, report)
    for path in gone.iterdir():
        path.unlink()
    for source in (tmp_path / "run" / "weights.pt", find(tmp_path / "run")):
        clip = load_clip(ModelConfig(), source)
        assert same(clip.model.state_dict(), weights)
        assert clip.tokenize("a red square")[1].sum() == 5
        results = evaluated(squares, tmp_path / source.stem, Path("RN50"), init_from=source)
        assert results["retrieval"]["recall"]["image to text"]["1"] == report.scalars["recall@1", "image to text"][-1][1]
    again = tuned(squares, tmp_path / "again", "anything", init_from=tmp_path / "run" / "weights.pt", optim__lr=1e-12)
    assert all(
        torch.allclose(again[key], value, atol=1e-6) for key, value in weights.items() if value.is_floating_point() and "running" not in key
    )


def test_a_file_s_encoders_are_not_overruled_and_what_it_states_is_told(squares: Path, bert: Path, tmp_path: Path) -> None:
    """They were ignored without a word: a run that asked for the pooled output trained the mean of the words."""
    tuned(squares, tmp_path / "run", bert, train__epochs=1)
    weights, other = tmp_path / "run" / "weights.pt", {"text__avg_word_embs": False, "width": 48, "image__size": 64}
    with pytest.raises(ParameterError) as error:
        tuned(squares, tmp_path / "no", bert, init_from=weights, **other)
    assert error.value.problems == [
        f"width=48: {weights} was trained with 24",
        f"image.size=64: {weights} was trained with 32",
        f"text.avg_word_embs=False: {weights} was trained with True",
    ]
    report = Recorder()
    tuned(
        squares, tmp_path / "again", "elsewhere", report, init_from=weights, width=512, train__epochs=1
    )  # the default, which asks nothing
    assert f"{weights} states its encoders: used are width=24, text.encoder={bert}" in report.texts


def test_a_file_with_paths_outside_its_folder_is_refused(squares: Path, bert: Path, tmp_path: Path) -> None:
    clip, said = make_encoders(IMAGE, TextEncoderConfig(str(bert), context=12), 24)
    said["files"]["../../evil"] = said["files"]["config.json"]
    torch.save({"state_dict": clip.model.state_dict(), "clip_training": said}, tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match=r"holds a file with the unsafe name '\.\./\.\./evil'"):
        load_clip(ModelConfig(), tmp_path / "weights.pt")


def test_a_custom_clip_wrappers_file(squares: Path, bert: Path, tmp_path: Path) -> None:
    """Its image encoder ends in the projection, its texts are not projected, and the file also holds its teacher."""
    wrapper = nn.Module()
    wrapper.visual = timm.create_model("test_resnet", num_classes=32)
    wrapper.transformer = BertModel.from_pretrained(bert)
    wrapper.logit_scale = nn.Parameter(torch.tensor(2.0))
    state = {f"model.{name}": value for name, value in wrapper.state_dict().items()}
    state |= {f"teacher.{name}": value for name, value in copy.deepcopy(wrapper).state_dict().items()}
    torch.save({"state_dict": state | {"sink_temp": torch.tensor(0.0)}, "hyper_parameters": {}}, tmp_path / "wrapper.ckpt")
    text = TextEncoderConfig(str(bert), context=12)
    clip = load_clip(ModelConfig(), tmp_path / "wrapper.ckpt", encoders=(IMAGE, text))
    wrapper.eval()
    clip.model.eval()
    images, tokens = torch.randn(2, 3, 32, 32), torch.stack([clip.tokenize(words) for words in ("a red square", "blue around a white")])
    with torch.no_grad():
        assert torch.allclose(clip.model.encode_image(images), wrapper.visual(images), atol=1e-5)
        hidden = wrapper.transformer(input_ids=tokens[:, 0], attention_mask=tokens[:, 1]).last_hidden_state
        assert torch.allclose(clip.model.encode_text(tokens), masked_mean(hidden, tokens[:, 1]), atol=1e-5)
    tuned(squares, tmp_path / "run", bert, init_from=tmp_path / "wrapper.ckpt", train__epochs=1)
    with pytest.raises(CheckpointError, match=r"is not image\.encoder=timm/test_vit"):
        load_clip(ModelConfig(), tmp_path / "wrapper.ckpt", encoders=(ImageEncoderConfig("timm/test_vit.r160_in1k", "", 32), text))


def test_it_has_a_command_line(squares: Path, bert: Path, tmp_path: Path) -> None:
    line = [f"--folder={squares}", "--batch_size", "30", "--text.encoder", str(bert), f"output_dir={tmp_path}", "--max_epochs", "2"]
    line += [f"{key}={value}" for key, value in SHORT.items() if key not in ("train.batch_size", "train.epochs")]
    done = run_line("clip_training.finetune", *line, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("clip/finetune-*/weights.pt"))) == 1


@pytest.mark.parametrize("module", ["train", "finetune", "finetune_vpt", "npz", "evaluate", "embed", "search", "export"])
def test_a_wrong_command_line_fails_before_pytorch_is_imported(module: str) -> None:
    assert tells_before(f"clip_training.{module}", "torch", "lightning", "open_clip")


def test_a_fine_tuning_that_diverges_publishes_nothing(squares: Path, bert: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFiniteError, match=r"step 2: .* not finite; .*no weights are published"):
        tuned(squares, tmp_path, bert, optim__lr=1e25, optim__warmup=0)
    assert not (tmp_path / "weights.pt").exists()
