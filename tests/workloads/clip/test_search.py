"""`command=search`: the ranking is that of open_clip's embeddings, and a table is searched by the model that made it alone."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coloured_squares import COLOURS, write_pair
from embedding import embedded, plain_images, plain_texts, searched, write_weights
from forms import write_tar
from PIL import Image
from support.lines import run_line

from clip_training import vector_index
from clip_training.search import open_search
from harness.errors import CheckpointError, DataError, NotFiniteError, ParameterError
from harness.report import Recorder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "photos"
    for inner in COLOURS:
        for outer in COLOURS:
            if inner != outer:
                write_pair(folder / inner, outer, inner, outer)
    return folder


@pytest.fixture(scope="module")
def weights(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights") / "weights.pt", tiny_model)


@pytest.fixture(scope="module")
def table(photos: Path, weights: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return embedded(photos, tmp_path_factory.mktemp("table"), tiny_model, init_from=weights)


def ranked(weights: Path, photos: Path, query: np.ndarray[Any, Any]) -> list[tuple[str, float]]:
    """By open_clip alone, the best first."""
    files = sorted(photos.rglob("*.png"))
    scores = (plain_images(weights, files) @ query).tolist()
    names = [file.relative_to(photos).as_posix() for file in files]
    return sorted(zip(names, scores, strict=True), key=lambda pair: -pair[1])


def test_a_folder_is_ranked_by_a_sentence_and_by_an_image(photos: Path, weights: Path, tiny_model: Path, tmp_path: Path) -> None:
    """In files, and on pages of the best as pictures; a torn image is left out."""
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    (folder / "torn.png").write_bytes(b"torn")
    report, image = Recorder(), photos / "red" / "blue.png"
    asked = {"query": "a red square", "query_image": str(image), "k": 7, "pictures": 4, "init_from": weights}
    by_text, by_image = searched(folder, tmp_path / "run", tiny_model, report, **asked)
    expected = ranked(weights, photos, plain_texts(weights, ["a red square"])[0])[:7]
    assert [match["rank"] for match in by_text["matches"]] == [1, 2, 3, 4, 5, 6, 7]
    assert [match["score"] for match in by_text["matches"]] == pytest.approx([score for _, score in expected], abs=1e-5)
    assert by_text["matches"][0]["path"] == expected[0][0]
    assert by_image["matches"][0] == {"rank": 1, "path": "red/blue.png", "score": pytest.approx(1, abs=1e-5)}
    stated = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (stated["queries"], stated["rows"], stated["weights"]) == ([by_text, by_image], 20, str(weights))
    rows = list(csv.DictReader((tmp_path / "run" / "results.csv").read_text().splitlines()))
    assert [(row["query"], row["rank"], row["path"]) for row in rows[:2]] == [
        ("a red square", "1", expected[0][0]),
        ("a red square", "2", expected[1][0]),
    ]
    assert [(title, series) for title, series, *_ in report.images] == [
        ("best matches", "1 a red square"),
        ("best matches", f"2 {image}"[:60]),
    ]
    assert any("1 of 21 images were left out" in text for text in report.texts)


def test_a_page_shows_the_pictures_in_their_order(photos: Path, table: Path, tiny_model: Path, tmp_path: Path) -> None:
    """The middle of each picture has the colour that its folder is called after."""
    report = Recorder()
    (found,) = searched(None, tmp_path, tiny_model, report, table=str(table), query="a red square", k=3)
    page = report.images[0][2]
    top = page.height - page.crop((0, 0, 240, page.height)).height
    heading = 2 * 8 + 19 + 1 + 8  # the query's line with its margins, and the gap below
    for number, match in enumerate(found["matches"]):
        colour = page.getpixel((number * 248 + 120, top + heading + 120))
        assert np.abs(np.array(colour) - COLOURS[match["path"].partition("/")[0]]).max() < 10


def test_a_table_is_searched_by_its_own_model_without_naming_it(
    photos: Path, weights: Path, table: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """In Python it takes three lines; a run's folder stands for its table."""
    found = open_search(table)
    by_text = found.search("a red square", k=3)
    expected = ranked(weights, photos, plain_texts(weights, ["a red square"])[0])
    assert [match.score for match in by_text] == pytest.approx([score for _, score in expected[:3]], abs=1e-5)
    file = photos / "green" / "red.png"
    for image in (file, Image.open(file)):
        assert found.search(image)[0].name == "green/red.png"
    again = open_search(photos, weights, str(tiny_model)).search("a red square", k=3)
    assert [match.score for match in again] == pytest.approx([match.score for match in by_text], abs=1e-6)
    (run,) = searched(None, tmp_path, Path("ViT-B-32"), table=str(table.parent), query="a red square", k=3)
    assert [match["path"] for match in run["matches"]] == [match.name for match in by_text]


def test_in_python_random_weights_and_unreadable_images_are_said(
    photos: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(photos / "red" / "blue.png", tmp_path)
    (tmp_path / "torn.png").write_bytes(b"torn")
    open_search(tmp_path, name=str(tiny_model))
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("test-tiny has random weights; name others")
    assert told[1].startswith("1 of 2 images were left out, e.g. ")


def test_a_table_in_half_precision_ranks_nearly_alike(photos: Path, weights: Path, table: Path, tiny_model: Path, tmp_path: Path) -> None:
    half = embedded(photos, tmp_path, tiny_model, init_from=weights, dtype="fp16")
    fine, coarse = (open_search(path).search("a red square", k=20) for path in (table, half))
    assert [match.score for match in coarse] == pytest.approx([match.score for match in fine], abs=1e-3)


def test_texts_are_ranked_by_an_image(photos: Path, weights: Path, tiny_model: Path, tmp_path: Path) -> None:
    path = embedded(photos, tmp_path / "texts", tiny_model, what="captions", init_from=weights)
    report = Recorder()
    (found,) = searched(None, tmp_path, tiny_model, report, table=str(path), query_image=str(photos / "red" / "blue.png"), k=2)
    assert all(" square on " in match["text"] or " around " in match["text"] for match in found["matches"])
    assert not report.images


def test_several_queries_come_from_list_files(photos: Path, table: Path, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "queries.txt").write_text("a red square\n\na blue square\n")
    (tmp_path / "images.txt").write_text(f"{photos / 'red' / 'blue.png'}\n")
    lists = {"query": str(tmp_path / "queries.txt"), "query_image": str(tmp_path / "images.txt")}
    results = searched(None, tmp_path, tiny_model, table=str(table), pictures=0, **lists)
    assert [each["query"] for each in results] == ["a red square", "a blue square", str(photos / "red" / "blue.png")]


def test_more_results_than_images_are_all_of_them(table: Path, tiny_model: Path, tmp_path: Path) -> None:
    report = Recorder()
    (found,) = searched(None, tmp_path, tiny_model, report, table=str(table), query="red", k=99, pictures=0)
    assert len(found["matches"]) == len({match["path"] for match in found["matches"]}) == 20
    assert report.texts[0] == "k=99: there are 20 images, and all are ranked"


def test_wrong_queries_are_told_before_anything_is_embedded(photos: Path, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"torn")
    (tmp_path / "images.txt").write_text(f"{tmp_path}/torn.png\n{tmp_path}/none.png\n")
    (tmp_path / "empty.txt").write_text("\n")
    for asked, message in (
        ({}, r"query is required: a sentence, or a \.txt file"),
        ({"query": f"{tmp_path}/none.txt"}, r"query=.*none\.txt: No such file"),
        ({"query": f"{tmp_path}/empty.txt"}, r"query=.*empty\.txt: the file holds no line"),
        ({"query_image": f"{tmp_path}/images.txt"}, r"query_image=.*torn\.png: cannot identify.*\nquery_image=.*none\.png: .*No such file"),
    ):
        with pytest.raises(ParameterError, match=message):
            searched(photos, tmp_path / "run", tiny_model, **asked)
    assert not (tmp_path / "run" / "embeddings.npz").exists()


def test_a_table_is_refused_for_another_model(table: Path, weights: Path, tiny_model: Path, undropped_model: Path, tmp_path: Path) -> None:
    other = write_weights(tmp_path / "other.pt", tiny_model, seed=1)
    told = r"was made by test-tiny \(.*weights\.pt\), not by test-tiny \(.*other\.pt\); embeddings of two models do not compare"
    with pytest.raises(CheckpointError, match=told):
        searched(None, tmp_path, tiny_model, table=str(table), query="red", init_from=other)
    moved = tmp_path / "moved.pt"
    shutil.copy(weights, moved)
    searched(None, tmp_path, tiny_model, table=str(table), query="red", init_from=moved, pictures=0)  # the same weights in another file


def test_a_table_whose_weights_are_nowhere_says_so(photos: Path, weights: Path, tiny_model: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone.pt"
    shutil.copy(weights, gone)
    table = embedded(photos, tmp_path / "1", tiny_model, init_from=gone)
    gone.unlink()
    with pytest.raises(CheckpointError, match=r"made by test-tiny of .*gone\.pt, which is not there; set init_from to where it is"):
        open_search(table)
    with pytest.raises(CheckpointError, match="made by random weights, which are nowhere"):
        open_search(embedded(photos, tmp_path / "2", tiny_model))


def test_a_table_that_is_none_or_was_edited_is_refused(table: Path, tmp_path: Path) -> None:
    with np.load(table) as stored:
        content = dict(stored)
    zero, nan, twice = (content["embedding"].copy() for _ in range(3))
    zero[2], nan[3, 0] = 0, np.nan
    names = content["path"].copy()
    names[1] = names[0]
    edited = tmp_path / "edited.npz"
    for change, message in (
        ({"about": np.array("{}")}, r"is no table of command=embed, which states its model"),
        ({"about": None}, r"is no table of command=embed, which states its model"),
        ({"path": content["path"][1:]}, r"has 19 names and embeddings float32 \(20, 32\)"),
        ({"embedding": zero}, r"1 of 20 embeddings are not finite or not of norm 1: blue/white\.png"),
        ({"embedding": nan}, r"1 of 20 embeddings are not finite or not of norm 1: blue/yellow\.png"),
        ({"embedding": twice, "path": names}, r"1 paths are repeated; blue/green\.png is there 2 times"),
    ):
        np.savez(edited, **{key: value for key, value in {**content, **change}.items() if value is not None})
        with pytest.raises(DataError, match=message):
            open_search(edited)
    (tmp_path / "torn.npz").write_bytes(table.read_bytes()[:500])
    (tmp_path / "t.csv").write_text("path,0\na.png,1\n")
    for name, message in (("torn.npz", "is no table of"), ("none.npz", "there is no such file"), ("t.csv", "does not state its model")):
        with pytest.raises(DataError, match=message):
            open_search(tmp_path / name)


def test_pictures_of_a_table_are_found_where_root_says_and_their_absence_is_said(
    photos: Path, weights: Path, tiny_model: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_tar(data / "0.tar", [("x.png", (photos / "red" / "blue.png").read_bytes())])
    shutil.copy(photos / "blue" / "red.png", data)
    table = embedded(data, tmp_path / "run", tiny_model, init_from=weights)
    data.rename(tmp_path / "moved")
    report = Recorder()
    searched(None, tmp_path / "1", tiny_model, report, table=str(table), query="red", root=str(tmp_path / "moved"))
    searched(None, tmp_path / "2", tiny_model, report, table=str(table), query="red")
    there, missing = (np.asarray(image) for _, _, image, _ in report.images)
    assert (there == COLOURS["red"]).all(-1).sum() > 10_000
    assert (missing == COLOURS["red"]).all(-1).sum() < 100
    assert any("is not there, so the pages have no pictures" in text for text in report.texts)


def test_a_query_without_an_embedding_is_one_error(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = open_search(table)
    monkeypatch.setattr(type(found.embedder), "texts", lambda self, texts: np.full((1, 32), np.nan, np.float32))
    with pytest.raises(NotFiniteError, match="the embedding of the query is not finite, or zero"):
        found.search("a red square")


def test_a_table_of_many_is_searched_by_an_index(table: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is measured with sentences and with rows, and finds what an exact search finds."""
    monkeypatch.setattr(vector_index, "INDEXED", 10)
    own = tmp_path / "t.npz"
    shutil.copy(table, own)
    report = Recorder()
    asked: dict[str, Any] = {"table": str(own), "query": "a red square", "k": 5, "pictures": 0}
    (exact,) = searched(None, tmp_path, tiny_model, report, exact=True, **asked)
    assert not any("index" in text for text in report.texts)
    (listed,) = searched(None, tmp_path, tiny_model, report, **asked)
    assert any("of sentences 1.000, of rows 1.000" in text for text in report.texts)
    assert [match["score"] for match in listed["matches"]] == pytest.approx([match["score"] for match in exact["matches"]], abs=1e-5)
    assert (tmp_path / "t.npz.index").is_file()


@pytest.mark.slow
def test_the_command_line(photos: Path, weights: Path, tiny_model: Path, tmp_path: Path) -> None:
    done = run_line(
        "clip_training.search",
        f"images={photos}",
        f"init_from={weights}",
        f"model_name={tiny_model}",
        "query=a red square",
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "a red square: " in done.stdout
    assert len(list(tmp_path.glob("outputs/clip/search-*/images/best_matches/*.png"))) == 1
