"""A spreadsheet as it was saved: rows of cells by the names of their columns, with their lines.

Excel saves by the country that it is set to: with commas, semicolons or tabs, in UTF-8 or in the
code page of Windows.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO

from followup.errors import Fault, Invalid

SEPARATORS = ",;\t|"
#: More than anybody has leads.
MOST_ROWS = 20_000

_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


@dataclass(frozen=True)
class Row:
    """One row, by the line that it begins on; every cell trimmed."""

    line: int
    #: (column, cell), also of columns that have one name.
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Sheet:
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    encoding: str
    separator: str


def read_sheet(raw: bytes, name: str = "file") -> Sheet:
    """Rows without anything in them are none. Raises Invalid naming the file, and the line."""
    if raw.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise Invalid(Fault(name, "is a workbook: save it as CSV (UTF-8) and import that"))
    text, encoding = _decode(raw, name)
    text, separator = _separator(text)
    lines = _parse(text, separator, name)
    first = next((cells for _, cells in lines if any(cells)), None)
    if first is None:
        raise Invalid(Fault(name, "has no row with the names of its columns"))
    names = (" ".join(cell.split()) for cell in first)
    columns = tuple(name or f"column {place}" for place, name in enumerate(names, start=1))
    rows = []
    for line, cells in lines:
        if any(cells):
            more = (f"column {n}" for n in range(len(columns) + 1, len(cells) + 1))
            rows.append(Row(line, tuple(zip((*columns, *more), cells, strict=False))))
        if len(rows) > MOST_ROWS:
            raise Invalid(Fault(name, f"has more than {MOST_ROWS} rows: import it in parts"))
    return Sheet(columns, tuple(rows), encoding, separator)


def _decode(raw: bytes, name: str) -> tuple[str, str]:
    marked = next((encoding for mark, encoding in _MARKS if raw.startswith(mark)), None)
    for encoding in (marked,) if marked else ("utf-8", "cp1252"):
        try:
            return raw.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    raise Invalid(
        Fault(name, "is no text in UTF-8 or in Windows' code page: save it as CSV (UTF-8)")
    )


def _separator(text: str) -> tuple[str, str]:
    """As Excel says in a first line of its own, else what makes the most columns."""
    said = re.match(r'"?sep=([,;\t|])"?\r?\n', text)
    if said:
        # An empty line keeps the numbers of the others.
        return "\n" + text[said.end() :], said[1]
    return text, max(SEPARATORS, key=lambda one: _columns(text, one))


def _columns(text: str, separator: str) -> int:
    """How many names the first row has; one of them may stand on several lines."""
    rows = csv.reader(StringIO(text, newline=""), delimiter=separator)
    try:
        return len(next(filter(any, rows), ()))
    except csv.Error:
        return 0


def _parse(text: str, separator: str, name: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator)
    before = 0
    try:
        for cells in reader:
            yield before + 1, [_plain(cell) for cell in cells]
            before = reader.line_num
    except csv.Error as error:
        raise Invalid(
            Fault(f"{name}, line {reader.line_num}", f"cannot be read: {error}")
        ) from None


def _plain(cell: str) -> str:
    """A number that was to stay a text is `="0123"`, and one that was not ends in `.0`."""
    cell = cell.replace("\x00", "").strip()
    if text := re.fullmatch(r'="(.*)"', cell, re.DOTALL):
        cell = text[1].strip()
    return cell[:-2] if re.fullmatch(r"\d{7,15}\.0", cell) else cell
