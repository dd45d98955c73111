"""What ranks print is passed on: to the terminal all of it, to the log the last state of each line."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import pytest

from harness import output
from harness.output import pass_on


def passed_on(source: Iterable[bytes]) -> tuple[str, str]:
    """Terminal and log."""
    terminal, log = io.StringIO(newline=""), io.BytesIO()
    pass_on(source, terminal, log)
    return terminal.getvalue(), log.getvalue().decode(errors="replace")


@pytest.mark.parametrize(
    ("read", "log"),
    [
        ([b"one\ntwo\n"], "one\ntwo\n"),
        ([b"o", b"ne\ntw", b"o\n\n"], "one\ntwo\n\n"),
        ([b"no end"], "no end"),
        ([b"\r 10%", b"\r 20%", b"\r100%\nnext\n"], "100%\nnext\n"),
        ([b"10%\r20%\r100%\r\nnext\n"], "100%\nnext\n"),
        ([b"10%\r", b"100%\r", b"\nnext\n"], "100%\nnext\n"),
        ([b"10%\r", b"100%\r"], "100%\n"),
        ([b"a line\r\n", b"another\r", b"\n"], "a line\nanother\n"),
        ([b"50%\r", b"Traceback:\n"], "Traceback:\n"),
        ([b"50%\r", b"\n\none\ntwo\n\n"], "50%\n\none\ntwo\n\n"),
        ([b"one\n\r\n10%\r\r20%\n"], "one\n\n20%\n"),
        ([], ""),
    ],
)
def test_the_terminal_gets_everything_and_the_log_the_last_state_of_each_line(read: list[bytes], log: str) -> None:
    assert passed_on(read) == (b"".join(read).decode(), log)


@pytest.mark.parametrize("length", range(1, 9))
def test_a_long_line_comes_in_pieces_and_no_letter_is_torn(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LONGEST", 5)
    text = "a€ü𝄞" * 20
    sent = text.encode()
    assert passed_on(sent[start : start + length] for start in range(0, len(sent), length)) == (text, text)


def test_what_is_no_text_is_marked_as_such() -> None:
    assert passed_on([b"\xff one\n", b"cut: \xe2\x82"])[0] == "� one\ncut: �"


def test_no_more_of_a_line_is_kept_than_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was kept beyond that would be copied with every read, and a line of 40 MB would stop its rank for a minute."""
    monkeypatch.setattr(output, "LONGEST", 1000)
    terminal, log = io.StringIO(), io.BytesIO()

    def source() -> Iterator[bytes]:
        for sent in range(0, 100_000, 100):
            assert sent - len(terminal.getvalue()) < 1000
            assert sent - len(log.getvalue()) < 1000
            yield b"." * 100

    pass_on(source(), terminal, log)
    assert (len(terminal.getvalue()), len(log.getvalue())) == (100_000, 100_000)
