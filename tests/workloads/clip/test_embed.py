"""`command=embed`: the vectors are open_clip's, nothing that is left out goes unsaid, and a stopped run continues."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from coloured_squares import COLOURS, write_pair
from embedding import embedded, plain_images, plain_texts, write_weights
from forms import write_tar
from PIL import Image

from clip_training import embed as module
from clip_training.checkpoint import save
from clip_training.config import ModelConfig
from clip_training.embedder import Embedder, open_model
from clip_training.embedding_tables import check_names
from clip_training.export import write_clip_model
from clip_training.model import make_clip
from clip_training.prompts import add_prompts
from harness.errors import CheckpointError, DataError, NotFiniteError, ParameterError
from harness.report import Recorder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Seven pictures in folders, of several formats; with their captions."""
    folder = tmp_path / "photos"
    for number, colour in enumerate([*COLOURS, "red"]):
        write_pair(folder / ("a" if number % 2 else "b/c"), f"{number}", colour, "white" if colour != "white" else "blue")
    Image.open(folder / "a" / "1.png").rotate(90).save(folder / "turned.WEBP", lossless=True)
    return folder


@pytest.fixture(scope="module")
def weights(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights") / "weights.pt", tiny_model)


def images_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix.lower() in (".png", ".webp"))


def test_a_table_holds_open_clip_s_embeddings_by_path(photos: Path, weights: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Numpy alone reads it."""
    (photos / "a" / "torn.jpg").write_bytes(b"torn")
    (photos / ".hidden.png").write_bytes(b"torn")
    report = Recorder()
    path = embedded(photos, tmp_path / "run", tiny_model, report, init_from=weights, output=str(tmp_path / "new" / "t.npz"))
    assert path == tmp_path / "new" / "t.npz"
    assert [*path.parent.iterdir()] == [path]
    with np.load(path) as table:
        names, vectors, about = table["path"].tolist(), table["embedding"], json.loads(str(table["about"]))
    assert names == images_below(photos)[1:]  # without the hidden one
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, plain_images(weights, [photos / name for name in names]), atol=1e-5)
    assert (about["rows"], about["left out"], about["model"], about["root"]) == (7, 1, "test-tiny", str(photos))
    assert (tmp_path / "run" / "skipped.txt").read_text().startswith(f"{photos}/a/torn.jpg: cannot identify")
    assert any(text.startswith("1 of 8 images were left out") for text in report.texts)
    assert report.artifacts["results"] == json.loads((tmp_path / "run" / "results.json").read_text())


def test_images_in_tar_files_are_embedded_by_their_members_names(photos: Path, weights: Path, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "tars").mkdir()
    image = photos / "turned.WEBP"
    write_tar(tmp_path / "tars" / "0.tar", [("x.webp", image.read_bytes()), ("x.txt", b"a square")])
    with np.load(embedded(tmp_path / "tars", tmp_path, tiny_model, init_from=weights)) as table:
        assert table["path"].tolist() == ["0.tar:x.webp"]
        np.testing.assert_allclose(table["embedding"], plain_images(weights, [image]), atol=1e-5)


def test_texts_of_a_list_and_captions_of_pairs(photos: Path, weights: Path, tiny_model: Path, tmp_path: Path) -> None:
    texts = ["a red square", "ein blaues Quadrat für Ühmann", "a red square"]
    (tmp_path / "texts.txt").write_bytes("\n\n".join(texts).encode("latin-1"))
    path = embedded(None, tmp_path / "1", tiny_model, texts=str(tmp_path / "texts.txt"), encoding="latin-1", init_from=weights)
    with np.load(path) as table:
        assert table["text"].tolist() == texts
        np.testing.assert_allclose(table["embedding"], plain_texts(weights, texts), atol=1e-5)
    with np.load(embedded(photos, tmp_path / "2", tiny_model, what="captions", init_from=weights)) as table:
        assert len(table["text"]) == 12
        assert "a green square on white" in table["text"].tolist()


def test_half_precision_is_stored_and_computed_with_unit_norms(photos: Path, weights: Path, tiny_model: Path, tmp_path: Path) -> None:
    with np.load(embedded(photos, tmp_path, tiny_model, init_from=weights, dtype="fp16", embed__precision="bf16")) as table:
        vectors, names = table["embedding"], table["path"].tolist()
    assert vectors.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float64), axis=1), 1, atol=1e-3)
    assert ((vectors * plain_images(weights, [photos / name for name in names])).sum(1) > 0.99).all()


def test_a_csv_holds_the_same_numbers(photos: Path, weights: Path, tiny_model: Path, tmp_path: Path) -> None:
    embedded(photos, tmp_path, tiny_model, init_from=weights, output=str(tmp_path / "t.npz"))
    embedded(photos, tmp_path, tiny_model, init_from=weights, output=str(tmp_path / "t.csv"))
    header, *rows = csv.reader((tmp_path / "t.csv").read_text().splitlines())
    assert header == ["path", *map(str, range(32))]
    with np.load(tmp_path / "t.npz") as table:
        assert [row[0] for row in rows] == table["path"].tolist()
        assert np.array_equal(np.array([row[1:] for row in rows], np.float32), table["embedding"])


class StoppedError(Exception):
    """Ends a run in a test."""


def counted(monkeypatch: pytest.MonkeyPatch, most: int = 10**9) -> list[int]:
    """The sizes of the batches that are embedded from now on; the run is stopped after `most` of them."""
    sizes: list[int] = []
    encode = Embedder.encode_images

    def counting(self: Embedder, images: torch.Tensor) -> torch.Tensor:
        if len(sizes) == most:
            raise StoppedError
        sizes.append(len(images))
        return encode(self, images)

    monkeypatch.setattr(Embedder, "encode_images", counting)
    return sizes


@pytest.mark.parametrize("every", [2, 1000])
def test_a_stopped_run_continues_when_it_is_started_again(
    every: int, photos: Path, weights: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what was left out, whether it was stopped gently or its last part was already kept; and then it is complete."""
    monkeypatch.setattr(module, "PART_ROWS", every)
    (photos / "0.png").write_bytes(b"torn")
    asked = {"init_from": weights, "output": str(tmp_path / "t.npz"), "embed__batch_size": 2}
    whole = embedded(photos, tmp_path / "whole", tiny_model, **{**asked, "output": ""})
    with monkeypatch.context() as patch:
        counted(patch, 2)
        with pytest.raises(StoppedError):
            embedded(photos, tmp_path / "run", tiny_model, **asked)
    assert not (tmp_path / "t.npz").exists()
    report = Recorder()
    with monkeypatch.context() as patch:
        sizes = counted(patch)
        embedded(photos, tmp_path / "run", tiny_model, report, **asked)
    assert sum(sizes) == 4
    assert report.texts[0].startswith("continuing after 4 of 8 images")
    with np.load(whole) as one, np.load(tmp_path / "t.npz") as other:
        assert one["path"].tolist() == other["path"].tolist()
        np.testing.assert_allclose(one["embedding"], other["embedding"], atol=1e-6)  # batches of other sizes round differently
        assert json.loads(str(one["about"])) == json.loads(str(other["about"]))
    assert not [*tmp_path.glob(".*")]
    with monkeypatch.context() as patch:
        sizes = counted(patch)
        embedded(photos, tmp_path / "run", tiny_model, report, **asked)
    assert (sizes, report.texts[-1]) == ([], f"{tmp_path / 't.npz'} is complete: it holds these 7 embeddings")


def test_a_stopped_run_starts_anew_when_an_image_changed(
    photos: Path, weights: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"init_from": weights, "output": str(tmp_path / "t.npz"), "embed__batch_size": 2}
    with monkeypatch.context() as patch:
        counted(patch, 2)
        with pytest.raises(StoppedError):
            embedded(photos, tmp_path / "run", tiny_model, **asked)
    os.utime(photos / "a" / "1.png", (0, 0))
    sizes = counted(monkeypatch)
    embedded(photos, tmp_path / "run", tiny_model, **asked)
    assert sum(sizes) == 7


def test_a_table_of_something_else_is_not_overwritten(photos: Path, weights: Path, tiny_model: Path, tmp_path: Path) -> None:
    for name in ("t.npz", "t.csv"):
        asked = {"init_from": weights, "output": str(tmp_path / name)}
        embedded(photos, tmp_path / "run", tiny_model, **asked)
        before = (tmp_path / name).read_bytes()
        other = write_weights(tmp_path / "other.pt", tiny_model, seed=1)
        with pytest.raises(ParameterError, match=r"output=.*: there is another file already; remove it, or name another"):
            embedded(photos, tmp_path / "run", tiny_model, **{**asked, "init_from": other})
        assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize(("factor", "precision"), [(0.0, "fp32"), (3e38, "fp32"), (3e38, "bf16")])
def test_a_model_whose_embeddings_are_no_numbers_ends_the_run_at_its_first_batch(
    factor: float, precision: str, photos: Path, weights: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """Its weights are finite, so that it can be loaded."""
    state = torch.load(weights)
    state["visual.proj"] = torch.full_like(state["visual.proj"], factor)
    torch.save(state, tmp_path / "wild.pt")
    with pytest.raises(NotFiniteError, match=r"none of the first 2 embeddings is finite and other than zero, e\.g\. that of a/1\.png"):
        embedded(photos, tmp_path, tiny_model, init_from=tmp_path / "wild.pt", embed__batch_size=2, embed__precision=precision)
    state["visual.proj"][:] = float("nan")
    torch.save(state, tmp_path / "wild.pt")
    with pytest.raises(CheckpointError, match=r"non-finite weights"):
        embedded(photos, tmp_path, tiny_model, init_from=tmp_path / "wild.pt")


def test_a_single_image_without_an_embedding_is_left_out_by_name(
    photos: Path, weights: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = Embedder.encode_images

    def overflowing(self: Embedder, images: torch.Tensor) -> torch.Tensor:
        found = encode(self, images)
        found[-1] = float("nan")
        return found

    monkeypatch.setattr(Embedder, "encode_images", overflowing)
    with np.load(embedded(photos, tmp_path, tiny_model, init_from=weights)) as table:
        assert table["path"].tolist() == images_below(photos)[:-1]
    assert (tmp_path / "skipped.txt").read_text() == "turned.WEBP: its embedding is not finite, or zero\n"


def test_data_without_anything_to_embed_are_an_error(weights: Path, tiny_model: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "notes.md").write_text("none")
    with pytest.raises(DataError, match=r"holds no image: 1 files, none with a suffix that Pillow opens"):
        embedded(data, tmp_path, tiny_model, init_from=weights)
    (data / "torn.png").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"none of the 1 images can be embedded; the first: .*torn\.png: cannot identify"):
        embedded(data, tmp_path, tiny_model, init_from=weights)
    (data / "empty.txt").write_text("\n \n")
    with pytest.raises(ParameterError, match=r"texts=.*empty\.txt: the file holds no line"):
        embedded(None, tmp_path, tiny_model, init_from=weights, texts=str(data / "empty.txt"))
    with pytest.raises(ParameterError, match=r"texts=.*none\.txt: No such file"):
        embedded(None, tmp_path, tiny_model, init_from=weights, texts=str(data / "none.txt"))
    with pytest.raises(ParameterError, match="dataset_id is required"):
        embedded(None, tmp_path, tiny_model, init_from=weights)
    with pytest.raises(ParameterError, match=r"output=t\.pickle: must end in \.npz or \.csv"):
        embedded(data, tmp_path, tiny_model, output="t.pickle")


def test_names_that_numpy_cannot_hold_are_told_before_work(tmp_path: Path) -> None:
    """Numpy gives every text the width of the longest: 4 bytes for each character."""
    names = ["x" * 2**20] + [""] * 2**10
    with pytest.raises(DataError, match=r"1025 rows with names of up to 1048576 characters are too many for an \.npz; name a \.csv"):
        check_names(tmp_path / "t.npz", names)
    check_names(tmp_path / "t.csv", names)


def test_random_weights_are_said_to_be_so(photos: Path, tiny_model: Path, tmp_path: Path) -> None:
    report = Recorder()
    embedded(photos, tmp_path, tiny_model, report)
    assert "test-tiny has random weights" in report.texts[0]
    assert report.artifacts["results"]["weights"] == "random"


def test_python_embeds_in_a_line(photos: Path, weights: Path, tiny_model: Path) -> None:
    model = open_model(weights, str(tiny_model))
    file = photos / "a" / "1.png"
    for image in (file, str(file), Image.open(file)):
        np.testing.assert_allclose(model.images([image]), plain_images(weights, [file]), atol=1e-5)
    np.testing.assert_allclose(model.texts(["a red ring"]), plain_texts(weights, ["a red ring"]), atol=1e-5)
    assert model.texts([]).shape == model.images([]).shape == (0, 32)


def test_files_of_every_kind_embed_and_equal_models_have_equal_digests(photos: Path, undropped_model: Path, tmp_path: Path) -> None:
    """The same weights as a state dict, a training program's file and a folder of transformers; those with prompts are another model."""
    name = undropped_model.stem
    clip = make_clip(ModelConfig(name=str(undropped_model)), write_weights(tmp_path / "plain.pt", undropped_model))
    state = {key: value.clone() for key, value in clip.model.state_dict().items()}
    torch.save({"epoch": 1, "state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "epoch.pt")
    write_clip_model(tmp_path / "folder", state, name)
    torch.manual_seed(1)
    add_prompts(clip, tokens=3, deep=True, dropout=0.0)
    about = {"kind": "prompts", "model": name, "tokens": 3, "deep": True, "dropout": 0.0, "whole": True}
    save(tmp_path / "prompted.pt", clip.model.state_dict(), about)
    models = {kind: open_model(tmp_path / kind, str(undropped_model)) for kind in ("plain.pt", "epoch.pt", "folder", "prompted.pt")}
    images = [photos / name for name in images_below(photos)]
    plain, *others, prompted = (model.images(images) for model in models.values())
    for other in others:
        np.testing.assert_allclose(other, plain, atol=1e-5)
    assert np.abs(prompted - plain).max() > 0.01
    digests = [model.identity["digest"] for model in models.values()]
    assert len(set(digests[:3])) == 1
    assert digests[3] != digests[0]
