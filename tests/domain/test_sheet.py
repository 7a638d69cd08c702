"""A spreadsheet reads as whatever program saved it meant it."""

import pytest

from followup.domain.sheet import MOST_ROWS, read_sheet
from followup.errors import Invalid

TEXT = "Nombre,Teléfono\r\nJosé,(949) 555-0199\r\n"


@pytest.mark.parametrize(
    ("raw", "encoding", "separator"),
    [
        (TEXT.encode(), "utf-8", ","),
        (TEXT.encode("utf-8-sig"), "utf-8-sig", ","),
        (TEXT.encode("cp1252"), "cp1252", ","),
        (TEXT.replace(",", "\t").encode("utf-16"), "utf-16", "\t"),
        (TEXT.replace(",", ";").encode("cp1252"), "cp1252", ";"),
        (("sep=;\r\n" + TEXT.replace(",", ";")).encode(), "utf-8", ";"),
        (TEXT.replace("\r\n", "\n").encode(), "utf-8", ","),
    ],
    ids=["utf-8", "with mark", "windows", "unicode text", "semicolons", "said", "unix"],
)
def test_every_way_to_save_it_says_the_same(raw: bytes, encoding: str, separator: str) -> None:
    sheet = read_sheet(raw)

    assert sheet.columns == ("Nombre", "Teléfono")
    assert [row.cells for row in sheet.rows] == [
        (("Nombre", "José"), ("Teléfono", "(949) 555-0199"))
    ]
    assert (sheet.encoding, sheet.separator) == (encoding, separator)


def test_a_row_is_known_by_the_line_on_which_it_begins() -> None:
    sheet = read_sheet(b'\nname,note\nAna,"two\nlines"\n\n ,\nBo,one,more\n')

    assert [(row.line, row.cells[-1]) for row in sheet.rows] == [
        (3, ("note", "two\nlines")),
        (7, ("column 3", "more")),
    ]


def test_a_columns_name_may_stand_on_several_lines() -> None:
    sheet = read_sheet(b'"Name\n(first, last)";Email\nAna;ana@example.com\n')

    assert sheet.columns == ("Name (first, last)", "Email")
    assert [(row.line, row.cells[1]) for row in sheet.rows] == [(3, ("Email", "ana@example.com"))]


def test_what_excel_writes_of_a_number_is_read_as_it_was_meant() -> None:
    sheet = read_sheet(b'phone,tel,\n"=""(949) 555-0199""",9495550199.0,1.0\n')

    assert [cell for _, cell in sheet.rows[0].cells] == ["(949) 555-0199", "9495550199", "1.0"]
    assert sheet.columns[2] == "column 3"


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "f: has no row with the names"),
        (b"\n , \n", "f: has no row with the names"),
        (b"PK\x03\x04rest", "f: is a workbook"),
        (b"\xd0\xcf\x11\xe0rest", "f: is a workbook"),
        (b"name\n\x81", "f: is no text"),
        (b"\xff\xfex", "f: is no text"),
        (b"name\n" + b'"' + b"x" * 200_000, "f, line 2: cannot be read"),
        (b"name\n" + b"x\n" * (MOST_ROWS + 1), "f: has more than"),
    ],
    ids=["nothing", "blank", "xlsx", "xls", "bytes", "half", "endless", "too many"],
)
def test_what_is_no_sheet_is_named(raw: bytes, problem: str) -> None:
    with pytest.raises(Invalid, match=problem):
        read_sheet(raw, "f")
