"""Tables on consoles of any width: no column is lost."""

import io
import re

import pytest

from uae_cli.tables.render import full_width, plain_console, print_folded, print_grid

HEADINGS = ["arm", "FID\nours", "FID\npaper", "KID\nours", "KID\npaper", "epochs"]
LINES = [
    ["random_sampling_k100", "12.5 ± 0.25", "339.47", "1.5", "14.86", "30"],
    ["minmax", "11", "344.23", "2.5", "10.78", "41"],
]


def printed(width: int) -> tuple[str, bool]:
    stream = io.StringIO()
    whole = print_grid(HEADINGS, LINES, plain_console(stream, width))
    return stream.getvalue(), whole


def test_a_table_with_room_is_whole() -> None:
    text, whole = printed(full_width(HEADINGS, LINES))
    assert whole
    assert text.count("minmax") == 1


@pytest.mark.parametrize("width", range(34, 66))
def test_without_room_every_cell_stands_in_a_line_that_fits_beside_its_row(width: int) -> None:
    text, whole = printed(width)
    assert whole == (full_width(HEADINGS, LINES) <= width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    for name, *cells in LINES:
        beside = " ".join(re.findall(rf"^{name} (.*)", text, flags=re.MULTILINE))
        assert " ".join(beside.split()) == " ".join(cells)


def test_columns_of_one_heading_stay_together() -> None:
    text, _ = printed(48)
    first = text.split("\n\n")[0]
    assert first.count("FID") == 2
    assert "KID" not in first


def test_where_a_column_alone_is_too_wide_its_spread_goes() -> None:
    text, whole = printed(30)
    assert not whole
    assert "12.5 ± 0.25" not in text
    assert "12.5" in text
    assert "No room here for the spreads" in " ".join(text.split())


def test_a_list_of_words_is_wrapped_and_loses_none() -> None:
    stream = io.StringIO()
    print_folded(
        ["", "what"], [["table 11", "larger images, tiny_imagenet_15k only"]], plain_console(stream, 24)
    )
    text = stream.getvalue()
    assert max(len(line) for line in text.splitlines()) <= 24
    assert "".join(re.findall(r"[^\s─]", text)) == "whattable11largerimages,tiny_imagenet_15konly"
