"""Evaluating a model that was trained here gives the figures of training, and those of a plain recomputation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from evaluating import evaluated
from PIL import Image
from runs import run
from support.training import judged_by
from torch.nn import functional

from harness.checkpoint import find
from harness.errors import CheckpointError, DataError, ParameterError
from harness.report import Recorder
from harness.torch.models import FOLDER

COLOURS = ["red", "green", "blue", "yellow", "white"]


@pytest.fixture(scope="module")
def trained(squares: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Recorder]:
    """A training run's folder and its report."""
    output, report = tmp_path_factory.mktemp("trained"), Recorder()
    run(squares, output, tiny_model, report, train__epochs=40, train__validate_every=40)
    return output, report


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The class in the middle of the image: its colour stands before the word square."""
    path = tmp_path_factory.mktemp("classes") / "inner.yaml"
    path.write_text("\n".join(f"{colour}: [{colour} square, {colour} squares]" for colour in COLOURS))
    return path


def test_recall_equals_that_at_the_end_of_training(trained: tuple[Path, Recorder], squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    """With the published weights and with the last checkpoint. The results file holds the returned results."""
    output, told = trained
    for source in (output / "weights.pt", find(output)):
        report = Recorder()
        results = evaluated(squares, tmp_path / source.name, tiny_model, report, init_from=source)
        for direction in ("image to text", "text to image"):
            for k in (1, 5, 10):
                assert results["retrieval"]["recall"][direction][str(k)] == told.scalars[f"recall@{k}", direction][-1][1]
        assert results["retrieval"]["pairs"] == 20
        assert json.loads((tmp_path / source.name / "results.json").read_text()) == results == report.artifacts["results"]
        assert isinstance(report.images[0][2], Image.Image)


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("templates") / "grounds.txt"
    path.write_text("\n".join(f"a {{}} on {colour}" for colour in COLOURS))
    return path


def plain_accuracy(weights: Path, folder: Path) -> float:
    """The accuracy for the colour in the middle, one of five, recomputed with open_clip alone in float64."""
    model = open_clip.create_model("test-tiny", pretrained=str(weights)).eval().double()
    mean, std = (torch.tensor(model.visual.preprocess_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    texts = [model.encode_text(tokens(f"a {colour} square on {ground}"), normalize=True) for colour in COLOURS for ground in COLOURS]
    classes = functional.normalize(torch.cat(texts).reshape(5, 5, -1).mean(1), dim=1)
    right = []
    for file in sorted(folder.glob("*.png")):
        pixels = torch.from_numpy(np.array(Image.open(file).resize((32, 32), Image.Resampling.BICUBIC))).permute(2, 0, 1)
        scores = model.encode_image(((pixels / 255 - mean) / std).double()[None]) @ classes.T
        right.append(COLOURS[int(scores.argmax())] == file.with_suffix(".txt").read_text().split()[1])
    return sum(right) / len(right)


def tokens(text: str) -> torch.Tensor:
    return open_clip.get_tokenizer("test-tiny")([text])


def test_classes_named_in_captions_are_classified(
    trained: tuple[Path, Recorder], squares: Path, tiny_model: Path, classes: Path, templates: Path, tmp_path: Path
) -> None:
    report, weights = Recorder(), trained[0] / "weights.pt"
    asked = {"zero_shot__classes": [str(classes)], "zero_shot__templates": str(templates)}
    found = evaluated(squares, tmp_path, tiny_model, report, init_from=weights, **asked)["zero-shot"]["inner"]
    assert found["images"] == 20
    assert found["chance"]["1"] == pytest.approx(0.2)
    assert found["top"]["5"] == 1
    assert sum(entry["images"] for entry in found["per class"].values()) == 20
    assert report.plots[0][2]["data"][0]["type"] == "table"
    with torch.inference_mode():
        assert found["top"]["1"] == plain_accuracy(weights, squares / "heldout")


def test_folders_of_classes(trained: tuple[Path, Recorder], squares: Path, tiny_model: Path, templates: Path, tmp_path: Path) -> None:
    """One folder per colour in the middle, with one truncated image; hidden files are not read."""
    data = tmp_path / "data"
    for caption in (squares / "heldout").glob("*.txt"):
        folder = data / f"{caption.read_text().split()[1]}_square"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(caption.with_suffix(".png"), folder)
    (data / "red_square" / "torn.png").write_bytes(b"torn")
    for hidden in (data / ".ipynb_checkpoints/a.png", data / "red_square/.trash/b.png", data / ".notes.txt"):
        hidden.parent.mkdir(exist_ok=True)
        shutil.copy(data / "red_square" / "torn.png", hidden)
    report, weights = Recorder(), trained[0] / "weights.pt"
    results = evaluated(data, tmp_path, tiny_model, report, init_from=weights, zero_shot__templates=str(templates))

    found = results["zero-shot"]["folders"]
    assert (found["images"], found["left out"]) == (20, 1)
    with torch.inference_mode():
        assert found["top"]["1"] == plain_accuracy(weights, squares / "heldout")
    assert set(found["per class"]) == {f"{colour}_square" for colour in COLOURS}
    assert "retrieval" not in results
    assert report.images[0][0] == "images with best classes"
    assert judged_by("clip", report) == ("zero-shot folders/top-1", set())


def test_all_pairs_or_those_held_out(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    report = Recorder()
    results = evaluated(squares, tmp_path, tiny_model, report, evaluate__pairs="all", evaluate__debug_images=0, evaluate__precision="bf16")
    assert results["retrieval"]["pairs"] == 80
    assert results["weights"] == "random"
    assert any("random weights" in text for text in report.texts)
    assert not report.images


def test_data_without_matching_classes_are_an_error(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "cats.yaml").write_text("[cat, dog]")
    with pytest.raises(DataError, match=r"zero_shot\.classes=cats: no caption names a class: cat, dog"):
        evaluated(squares, tmp_path, tiny_model, zero_shot__classes=[str(tmp_path / "cats.yaml")])
    folders = class_folders(squares, tmp_path / "data", "red", "blue")
    with pytest.raises(ParameterError, match=r"2 sub-folders of .* are not in cats: blue, red"):
        evaluated(folders, tmp_path, tiny_model, zero_shot__classes=[str(tmp_path / "cats.yaml")], evaluate__data="classes")
    (tmp_path / "colours.txt").write_text("Red\nblue\n")
    with pytest.raises(ParameterError, match=r"1 sub-folders of .* are not in colours: red \(did you mean Red\?\)"):
        evaluated(folders, tmp_path, tiny_model, zero_shot__classes=[str(tmp_path / "colours.txt")], evaluate__data="classes")


def class_folders(squares: Path, folder: Path, *names: str) -> Path:
    """A folder with sub-folders of these names, an image in each."""
    images = sorted(squares.rglob("*.png"))
    for name, image in zip(names, images, strict=False):
        (folder / name).mkdir(parents=True)
        shutil.copy(image, folder / name)
    return folder


def test_classes_of_a_list_without_a_folder_are_said(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    """They stay among those that an image is compared with."""
    (tmp_path / "colours.txt").write_text("red\nblue\nother\n")
    report, asked = Recorder(), {"zero_shot__classes": [str(tmp_path / "colours.txt")], "evaluate__data": "classes"}
    folders = class_folders(squares, tmp_path / "data", "red", "blue")
    results = evaluated(folders, tmp_path, tiny_model, report, **asked, zero_shot__templates="name")
    assert results["zero-shot"]["colours"]["chance"]["1"] == pytest.approx(1 / 3)
    assert any("1 of 3 classes of colours have no image, e.g. other" in text for text in report.texts)


@pytest.mark.parametrize("whole", [True, False])
def test_weights_of_another_model_are_told_by_name_or_as_a_json_file(whole: bool, squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    """The independent source is open_clip, which builds the file's model."""
    with_text = {} if whole else {"layers": 3}
    stated = json.loads((FOLDER / "tabletop-tiny.json").read_text())
    stated["text_cfg"] |= with_text
    torch.save(open_clip.CLIP(**stated).state_dict(), tmp_path / "other.pt")
    with pytest.raises(CheckpointError) as error:
        evaluated(squares, tmp_path / "out", tiny_model, init_from=tmp_path / "other.pt")
    told = str(error.value)
    depth, width, patch = (stated["vision_cfg"][key] for key in ("layers", "width", "patch_size"))
    assert f"vision transformer, {depth} blocks, width {width}" in told
    assert f"patches of {patch} in {stated['vision_cfg']['image_size']} pixels" in told
    assert f"embeddings of {stated['embed_dim']}" in told
    if whole:
        assert told.endswith("set model.name=tabletop-tiny")
    else:
        own = json.loads(told.partition("set model.name to a JSON file that holds ")[2])
        (tmp_path / "own.json").write_text(json.dumps(own))
        assert evaluated(squares, tmp_path / "out", tmp_path / "own.json", init_from=tmp_path / "other.pt")["model"] == "own"
