"""Tables as people have them. Bytes are written by hand in the forms of the programs that each test names.

Quoting is that of RFC 4180, in which Python's csv, pandas' to_csv, Excel and LibreOffice write: fields with separators, quotes or line
breaks in quotes, and quotes in them doubled. Excel's "CSV" is in the code page of Windows (cp1252 in western Europe), with semicolons
where the comma is the decimal mark; its "Unicode text" is UTF-16 with tabs; "CSV (Macintosh)" ends lines with CR.
"""

from __future__ import annotations

import io
import logging
import time
from pathlib import Path

import pytest
from forms import FORMS, as_table, files_of, write_tar
from PIL import Image

from clip_training.formats import pairs_of, split
from clip_training.texts import Reading
from harness.errors import DataError, ParameterError

HEADER = "filepath,title\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four images, two of them in a sub-folder."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    for name in ("a.png", "b.png", "i/a.png", "i/b c.png"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    return tmp_path / "data"


def read(folder: Path, content: str | bytes, name: str = "t.csv", **options: object) -> dict[str, tuple[str, ...]]:
    """Captions by image."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return in_folder(folder, **options)


def in_folder(folder: Path, **options: object) -> dict[str, tuple[str, ...]]:
    return {str(pair.image).removeprefix(f"{folder}/"): tuple(pair.read_captions()) for pair in pairs_of(folder, **options)}


class TestForms:
    """How tables are written."""

    @pytest.mark.parametrize(("name", "mark"), [("t.csv", ","), ("t.csv", "\t"), ("t.csv", ";"), ("t.tsv", "\t"), ("T.CSV", ",")])
    def test_the_separator_is_detected(self, name: str, mark: str, squares: Path, tmp_path: Path) -> None:
        as_table(squares / "heldout", tmp_path, name, mark=mark)
        assert list(in_folder(tmp_path).values()) == [pair_captions(text) for _, text in files_of(squares / "heldout")]

    @pytest.mark.parametrize(
        "content",
        [
            ',filepath,title\n0,a.png,"a red, green bird"\n1,b.png,"a ""big"" 5"" dog"\n',  # pandas, with its index
            "filepath\ttitle\na.png\ta red, green bird\nb.png\t\"a \"\"big\"\" 5\"\" dog\"\n",  # pandas, sep="\t", as for open_clip
            '\ufefffilepath;title;\r\na.png;a red, green bird;\r\nb.png;"a ""big"" 5"" dog";\r\n;;\r\n',  # Excel's "CSV UTF-8" in Europe
            'sep=;\r\nfilepath;title\r\na.png;a red, green bird\r\nb.png;"a ""big"" 5"" dog"\r\n',  # with Excel's own first line
            'filepath,title\ra.png,"a red, green bird"\rb.png,"a ""big"" 5"" dog"\r',  # Excel's "CSV (Macintosh)"
            '"filepath","title"\n"a.png","a red, green bird"\n"b.png","a ""big"" 5"" dog"',  # LibreOffice with all texts in quotes
            'filepath, title\na.png, "a red, green bird"\nb.png,"a ""big"" 5"" dog"\n',  # by hand, with a blank after each comma
            'filepath,title\na.png,"a red, green bird"\n\nb.png,"a ""big"" 5"" dog"  \n\n',  # blank lines, and trailing blanks
        ],
    )  # fmt: skip
    def test_the_forms_of_other_programs_are_read(self, content: str, folder: Path) -> None:
        assert read(folder, content) == {"a.png": ("a red, green bird",), "b.png": ('a "big" 5" dog',)}

    def test_excel_s_unicode_text_and_its_code_page_are_read_when_they_are_named(self, folder: Path) -> None:
        text = "filepath\ttitle\r\na.png\tthe bird\u2019s caf\xe9\r\n"
        for encoding in ("utf-16", "cp1252"):
            found = read(folder, text.encode(encoding), reading=Reading(encoding=encoding))
            assert found == {"a.png": ("the bird\u2019s caf\xe9",)}
        with pytest.raises(DataError, match=r"t\.csv cannot be read as a table: is not utf-8 text .*data\.encoding=cp1252$"):
            in_folder(folder)
        with pytest.raises(DataError, match=r"t\.csv cannot be read as a table: is not utf-8 text .*it looks like data\.encoding=utf-16$"):
            read(folder, text.encode("utf-16"))

    def test_columns_can_be_named(self, squares: Path, tmp_path: Path) -> None:
        as_table(squares / "heldout", tmp_path, columns=("image", "text"))
        assert len(in_folder(tmp_path, reading=Reading("image", "text"))) == 20
        with pytest.raises(ParameterError) as error:
            pairs_of(tmp_path, "table")
        assert error.value.problems == [
            f"data.image_column=filepath data.caption_column=title: no table in {tmp_path} has both in its first line; "
            "pairs.csv has the columns number, image, text"
        ]
        with pytest.raises(DataError, match=r"holds no image-text pairs: .*; pairs\.csv has the columns number, image, text"):
            pairs_of(tmp_path)

    def test_a_table_without_a_header_is_told_by_its_first_line(self, folder: Path) -> None:
        with pytest.raises(DataError, match=r"no table with the columns of images and captions; t\.csv has the columns a\.png, a bird"):
            read(folder, "a.png,a bird\nb.png,a dog\n")

    def test_a_column_that_is_there_twice_is_an_error(self, folder: Path) -> None:
        with pytest.raises(DataError, match=r"t\.csv: 2 columns are called title"):
            read(folder, "filepath,title,title\na.png,one,two\n")

    def test_a_million_rows_take_seconds(self, tmp_path: Path) -> None:
        """A tenth of them here, which take about 1.4 s of one core. What grows with the square of the rows would take minutes."""
        (tmp_path / "i").mkdir()
        for number in range(1000):
            (tmp_path / f"i/{number}.jpg").touch()
        rows = (f'./i/{number % 1000}.jpg,"a thing, of the number {number}"\n' for number in range(100_000))
        (tmp_path / "t.csv").write_text(HEADER + "".join(rows))
        start = time.process_time()
        pairs = pairs_of(tmp_path)
        assert (len(pairs), len(pairs[0].read_captions())) == (1000, 100)
        assert time.process_time() - start < 10


def pair_captions(text: Path) -> tuple[str, ...]:
    return tuple(line for line in text.read_text().splitlines() if line)


class TestRows:
    """What would be learned wrongly is an error; what is odd is counted."""

    @pytest.mark.parametrize(
        ("rows", "told"),
        [
            ('a.png,"an open\nb.png,"a, dog"\n', r"the quotes of the row in line 2 are wrong \(',' expected after '\"'\)"),
            ('a.png,"an open, quote\nb.png,other\n', r"the quotes of the row in line 2 are wrong \(unexpected end of data\)"),
            ('"a.png","big" bird\n', r"the quotes of the row in line 2 are wrong"),
            ('a.png,x\nb.png,"an open\ni/a.png,"a, b\n', r"the quotes of the row in line 3 are wrong"),
            ('"a.png","an open\nb.png,other\nb.png,third"\n', r'the quote that opens in line 2 takes in the row of line 3: b\.png,other'),
        ],
    )  # fmt: skip
    def test_a_quote_that_is_not_closed_takes_in_no_other_rows(self, rows: str, told: str, folder: Path) -> None:
        with pytest.raises(DataError, match=rf"t\.csv: {told}.*; a caption that begins with a quote must be written as"):
            read(folder, HEADER + rows)

    @pytest.mark.parametrize(
        ("captions", "line"),
        [(('"big" bird', "a dog"), 2), (("a bird", '"an open quote'), 3), (('"one', 'two"'), 2), (('"', "'x' \"y\""), 2)],
    )
    def test_a_table_written_without_quoting_is_read_so_and_told(
        self, captions: tuple[str, str], line: int, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As by csv.QUOTE_NONE, and as most .tsv files: IANA's text/tab-separated-values has no quoting."""
        rows = "".join(f"{image}.png\t{caption}\n" for image, caption in zip("ab", captions, strict=True))
        assert read(folder, f"filepath\ttitle\n{rows}", "t.tsv") == {"a.png": (captions[0],), "b.png": (captions[1],)}
        assert f"line {line}" in caplog.text
        assert "each line alone is a row, so quotes are read as characters of the captions" in caplog.text

    def test_a_comma_without_quotes_cuts_nothing_off(self, folder: Path) -> None:
        """pandas refuses such a row, too: Expected 2 fields in line 2, saw 3."""
        with pytest.raises(
            DataError, match=r"2 rows have more fields than the header's 2, e\.g\. line 2: a\.png \| a cat \|  sitting; a caption with ','"
        ):
            read(folder, f"{HEADER}a.png,a cat, sitting\nb.png,a dog\ni/a.png,a, b, c\n")

    def test_a_row_of_a_caption_with_line_breaks_is_one_caption(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        """As Excel writes a cell with Alt+Enter. A blue car, a red one is a line with a comma, but no row."""
        found = read(folder, f'{HEADER}a.png,"two\nlines"\nb.png,"three\r\n\r\nblue, red\rlines"\nb.png,one\n')
        assert found == {"a.png": ("two lines",), "b.png": ("three blue, red lines", "one")}
        assert "2 captions have line breaks, read as blanks, e.g. in line 2" in caplog.text

    def test_rows_without_an_image_or_a_caption_are_counted_and_listed(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        left_out: list[str] = []
        rows = "a.png,first\nb.png,\n,lost\na.png, second \nb.png\nnowhere.png,x\n,\n"
        assert read(folder, HEADER + rows, left_out=left_out) == {"a.png": ("first", "second")}
        why = ["line 3 has no caption", "line 4 has no image", "line 6 has no caption", "line 7: nowhere.png is not there"]
        assert [line.removeprefix(f"{folder}/t.csv: ") for line in left_out] == why
        assert "4 rows of t.csv have no image that is there, or no caption; left out, e.g. " in caplog.text

    @pytest.mark.parametrize("rows", ["", ",lost\n", "nowhere.png,x\n", "\n\n"])
    def test_a_table_without_a_usable_row_is_an_error(self, rows: str, folder: Path) -> None:
        with pytest.raises(DataError, match=r"t\.csv: no row has both an image that is there and a caption"):
            read(folder, HEADER + rows)

    def test_a_repeated_row_is_used_once(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert read(folder, f"{HEADER}a.png,x\na.png,x\na.png,y\n") == {"a.png": ("x", "y")}
        assert "1 rows repeat the image and the caption of another; each is used once" in caplog.text

    def test_a_nul_is_told(self, folder: Path) -> None:
        with pytest.raises(DataError, match=r"t\.csv cannot be read as a table: has a NUL, which is no character of a text, at byte 24"):
            read(folder, f"{HEADER}a.png,one\0two and more\n")


class TestImages:
    """How tables name images."""

    @pytest.mark.parametrize(
        "name",
        ["i/a.png", "./i/a.png", "i//a.png", "i/../i/a.png", "i\\a.png", ".\\i\\a.png", "{folder}/i/a.png", "file://{folder}/i/a.png"],
    )
    def test_a_path_in_any_form_is_the_same_image(self, name: str, folder: Path) -> None:
        """Otherwise an image that is named in two ways could be trained on and held out."""
        assert read(folder, f"{HEADER}{name.format(folder=folder)},x\ni/a.png,y\n") == {"i/a.png": ("x", "y")}

    def test_a_path_in_url_form_is_told(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert read(folder, f"{HEADER}i/b%20c.png,x\n") == {"i/b c.png": ("x",)}
        assert "1 images are named with backslashes or as in a URL, e.g. i/b%20c.png, read as i/b c.png" in caplog.text

    def test_a_path_by_way_of_a_link_is_the_same_image(self, folder: Path) -> None:
        (folder.parent / "link").symlink_to(folder)
        assert read(folder, f"{HEADER}{folder.parent}/link/i/a.png,x\ni/a.png,y\n") == {"i/a.png": ("x", "y")}

    def test_absolute_paths_elsewhere_are_accepted_and_paths_above_the_folder_are_not(self, squares: Path, folder: Path) -> None:
        image, _ = files_of(squares / "heldout")[0]
        assert read(folder, f"{HEADER}{image},absolute\n") == {str(image): ("absolute",)}
        with pytest.raises(DataError, match=r"the image \.\./x\.png is outside of it"):
            read(folder, f"{HEADER}../x.png,outside\n")

    def test_a_hidden_image_that_a_table_names_is_read(self, folder: Path) -> None:
        (folder / ".cache").mkdir()
        (folder / "a.png").rename(folder / ".cache/a.png")
        assert read(folder, f"{HEADER}.cache/a.png,x\n") == {".cache/a.png": ("x",)}

    def test_addresses_are_not_fetched(self, folder: Path) -> None:
        with pytest.raises(DataError, match=r"line 2: https://host/a\.png is an address, not a file of .*; fetch the images first"):
            read(folder, f"{HEADER}https://host/a.png,x\n")


class TestSeveral:
    """Tables beside each other, and beside other files."""

    @pytest.mark.parametrize(
        ("training", "heldout"),
        [("train.csv", "heldout.csv"), ("train.csv", "val.csv"), ("Train_GCC-training.tsv", "Validation_GCC-1.1.0-Validation.tsv"),
         ("cc_train.csv", "cc_test.csv")],
    )  # fmt: skip
    def test_tables_named_so_state_the_split(self, training: str, heldout: str, squares: Path, tmp_path: Path) -> None:
        """Train_GCC-training.tsv is the name in which Conceptual Captions comes."""
        as_table(squares / "train", tmp_path, training)
        as_table(squares / "heldout", tmp_path, heldout)
        found = split(tmp_path, 0.5, 0)
        assert [len(part) for part in found] == [60, 20]
        assert [pair.read_captions() for pair in found[1]] == [list(pair_captions(text)) for _, text in files_of(squares / "heldout")]

    def test_of_several_held_out_parts_one_is_used_and_the_others_are_named(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        for name, image in {"train": "a.png", "val": "b.png", "test": "i/a.png", "all": "a.png"}.items():
            (folder / f"{name}.csv").write_text(f"{HEADER}{image},x\n")
        training, heldout = split(folder, 0.5, 0)
        assert [str(pair.image) for pair in (*training, *heldout)] == [f"{folder}/a.png", f"{folder}/b.png"]
        assert "not used are all, test" in caplog.text

    def test_an_image_in_both_parts_is_an_error(self, folder: Path) -> None:
        (folder / "train.csv").write_text(f"{HEADER}a.png,x\nb.png,x\n")
        (folder / "val.csv").write_text(f"{HEADER}./a.png,x\n")
        with pytest.raises(DataError, match=r"1 images are both to train on and to hold out, e\.g\. .*/a\.png"):
            split(folder, 0.5, 0)

    def test_one_named_part_beside_another_table_is_an_error_that_names_both(self, folder: Path) -> None:
        for name in ("train", "captions"):
            (folder / f"{name}.csv").write_text(f"{HEADER}a.png,x\nb.png,x\n")
        with pytest.raises(DataError, match=r"holds captions\.csv and train\.csv: one of them names a part"):
            split(folder, 0.5, 0)

    def test_tables_without_such_names_are_read_together(self, folder: Path) -> None:
        """An image in two of them is one pair, or it could be trained on and held out."""
        (folder / "part1.csv").write_text(f"{HEADER}a.png,x\nb.png,x\n")
        (folder / "part2.csv").write_text(f"{HEADER}a.png,y\n")
        assert in_folder(folder) == {"a.png": ("x", "y"), "b.png": ("x",)}

    @pytest.mark.parametrize(
        "content",
        [
            "gr\xf6\xdfe,b\n1,\xfc\n".encode("latin-1"),
            "groesse,b\n1,\xfc\n".encode("latin-1"),
            "x,b\n1,2\n".encode("utf-16"),
            b"x,b\r" + b"1,2\r" * 60_000,
            b'x,b\n"open,1\n',
            b"x" * 200_000,
            b"",
            b"\0\1\2",
        ],
        ids=["latin-1 header", "latin-1", "utf-16", "CR", "an open quote", "one long line", "empty", "binary"],
    )
    def test_a_table_of_something_else_does_not_break_a_folder_of_pairs(self, content: bytes, squares: Path, tmp_path: Path) -> None:
        FORMS["folder"](squares / "heldout", tmp_path)
        (tmp_path / "metadata.csv").write_bytes(content)
        assert len(pairs_of(tmp_path)) == 20

    def test_pairs_of_files_beside_a_table_are_counted(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        (folder / "b.txt").write_text("by file")
        assert read(folder, f"{HEADER}a.png,by table\n") == {"a.png": ("by table",)}
        assert "1 pairs of image and caption files are not read, e.g. b.png and b.txt, because there are tables" in caplog.text
        assert "to read them instead, set data.format=folder" in caplog.text
        assert in_folder(folder, form="folder") == {"b.png": ("by file",)}


class TestShardsBesideFiles:
    @pytest.fixture
    def mixed(self, folder: Path) -> Path:
        (folder / "b.txt").write_text("by file")
        stored = io.BytesIO()
        Image.new("RGB", (8, 8)).save(stored, "PNG")
        write_tar(folder / "0.tar", [("x.png", stored.getvalue()), ("x.txt", b"in a shard")])
        return folder

    def test_loose_pairs_are_counted_and_named(self, mixed: Path, caplog: pytest.LogCaptureFixture) -> None:
        (mixed / "t.csv").write_text(f"{HEADER}a.png,by table\n")
        assert [pair.read_captions() for pair in pairs_of(mixed)] == [["in a shard"]]
        assert "1 pairs of image and caption files are not read, e.g. b.png and b.txt, because there are .tar files" in caplog.text
        assert "t.csv is not read, because there are .tar files; to read it instead, set data.format=table" in caplog.text
        assert [pair.read_captions() for pair in pairs_of(mixed, "folder")] == [["by file"]]
        assert [pair.read_captions() for pair in pairs_of(mixed, "table")] == [["by table"]]

    def test_an_archive_of_something_else_does_not_hide_them(self, mixed: Path, caplog: pytest.LogCaptureFixture) -> None:
        write_tar(mixed / "0.tar", [("notes.md", b"a backup")])
        with caplog.at_level(logging.WARNING):
            assert [pair.read_captions() for pair in pairs_of(mixed)] == [["by file"]]
        assert "1 .tar files hold no sample of an image and a caption, and are not read, e.g. 0.tar" in caplog.text

    def test_shards_named_so_state_the_split(self, mixed: Path) -> None:
        """cc3m-train-0000.tar and cc3m-validation-0000.tar are the names of a widely used copy of Conceptual Captions."""
        content = (mixed / "0.tar").read_bytes()
        (mixed / "0.tar").unlink()
        for name in ("cc3m-train-0000", "cc3m-train-0001", "cc3m-validation-0000"):
            (mixed / f"{name}.tar").write_bytes(content)
        assert [len(part) for part in split(mixed, 0.5, 0)] == [2, 1]
