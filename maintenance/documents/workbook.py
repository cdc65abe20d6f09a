"""A workbook that is safe to open: every text is text, never a formula, and equal contents give equal bytes."""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from maintenance.documents.clean import clean

CELL = 4000  # characters of one cell; the record holds the rest
_A4 = 9  # as the format numbers paper
_ROWS = 1_000_000  # of one sheet; the format ends at 1,048,576
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")  # what the format would read as the code of a character
_FORMULA = ("=", "+", "-", "@", "'")
_HEAD = "DCE6F1"
_LINE, _LINES = 13.0, 30  # points of a line; lines of the highest row
_MODIFIED = re.compile(rb"(<dcterms:modified[^>]*>)[^<]*(</dcterms:modified>)")
_NEVER = (1980, 1, 1, 0, 0, 0)  # the first instant that a zip file knows


@dataclass(frozen=True)
class Filled:
    """A value with the colour behind it, RRGGBB; `auto` is none."""

    value: object
    colour: str


class Workbook:
    """Sheets, one after the other."""

    def __init__(self, title: str, author: str, made: datetime) -> None:
        import openpyxl

        self._book = openpyxl.Workbook(write_only=True)
        self._made = made
        properties = self._book.properties
        properties.title, properties.creator = safe(title)[:250], safe(author)[:120]
        properties.created = properties.modified = made
        self._looks: dict[tuple[str, bool, bool, bool], Any] = {}

    def sheet(
        self,
        name: str,
        columns: Sequence[tuple[str, float]],
        rows: Sequence[Sequence[object]],
        *,
        above: Sequence[str] = (),
        empty: str = "",
    ) -> None:
        """A sheet of (heading, width) columns: frozen head, filter, and lines above it; `empty` where there is no row."""
        from openpyxl.utils import get_column_letter

        sheet = self._book.create_sheet(name)
        head, last = len(above) + 1, get_column_letter(len(columns))
        for number, (_, width) in enumerate(columns, 1):
            sheet.column_dimensions[get_column_letter(number)].width = width
        sheet.freeze_panes = f"A{head + 1}"
        shown = rows[: _ROWS - head] or ([[empty]] if empty else [])
        if rows:
            sheet.auto_filter.ref = f"A{head}:{last}{head + len(shown)}"
        sheet.print_title_rows = f"{head}:{head}"
        sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", _A4
        sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
        sheet.sheet_properties.pageSetUpPr.fitToPage = True
        widths = [width for _, width in columns]
        for number, line in enumerate(above, 1):
            sheet.merged_cells.add(f"A{number}:{last}{number}")
            sheet.row_dimensions[number].height = _height([line], [sum(widths)])
            sheet.append([self._cell(sheet, line, framed=False, bold=number == 1)])
        sheet.row_dimensions[head].height = _height([title for title, _ in columns], widths)
        sheet.append([self._cell(sheet, Filled(title, _HEAD), bold=True) for title, _ in columns])
        for number, row in enumerate(shown, head + 1):
            cells = [self._cell(sheet, value) for value in row]
            sheet.row_dimensions[number].height = _height([cell.value for cell in cells], widths)
            sheet.append(cells)

    def _cell(self, sheet: Any, given: object, *, bold: bool = False, framed: bool = True) -> Any:
        from openpyxl.cell import WriteOnlyCell

        value, colour = (given.value, given.colour) if isinstance(given, Filled) else (given, "auto")
        cell = WriteOnlyCell(sheet)
        quoted = False
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            cell.value = value
        elif text := safe(value):
            cell.value = text
            cell.data_type = "s"  # whatever it begins with
            quoted = text.startswith(_FORMULA)  # so that it stays text when somebody edits the cell
        look = (colour, bold, framed, quoted)
        if look not in self._looks:  # to find a style takes longer than to write a cell
            self._looks[look] = self._look(sheet, *look)
        cell._style = copy(self._looks[look])
        return cell

    def _look(self, sheet: Any, colour: str, bold: bool, framed: bool, quoted: bool) -> Any:
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.styles import Alignment, Border, Font, PatternFill, Side

        cell, side = WriteOnlyCell(sheet), Side(style="thin", color="BFBFBF")
        cell.font = Font(name="黑体" if bold else "宋体", size=10, bold=bold)
        cell.alignment = Alignment(wrap_text=True, vertical="top")
        if framed:
            cell.border = Border(left=side, right=side, top=side, bottom=side)
        if colour != "auto":
            cell.fill = PatternFill("solid", start_color=colour, end_color=colour)
        if quoted:
            cell.quotePrefix = True
        return cell._style

    def save(self, path: Path) -> Path:
        """Write it; the times in the file are those of the record."""
        made = io.BytesIO()
        self._book.save(made)
        stamp = self._made.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
        with zipfile.ZipFile(made) as before, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as after:
            for item in before.infolist():
                data = before.read(item)
                if item.filename == "docProps/core.xml":
                    data = _MODIFIED.sub(rb"\g<1>" + stamp + rb"\g<2>", data)
                plain = zipfile.ZipInfo(item.filename, _NEVER)
                plain.external_attr, plain.compress_type = 0o600 << 16, zipfile.ZIP_DEFLATED
                after.writestr(plain, data)
        return path


def _height(texts: Sequence[object], widths: Sequence[float]) -> float:
    """Points that a row needs so that no text is cut: not every program finds that out by itself."""
    lines = 1
    for text, width in zip(texts, widths, strict=False):
        if isinstance(text, str) and (len(text) > width / 2 - 1 or "\n" in text):
            room = max(width - 1.5, 4)
            lines = max(lines, sum(math.ceil(max(_width(line), 1) / room) for line in text.split("\n")))
    return min(lines, _LINES) * _LINE + 2


def _width(text: str) -> int:
    """Of a line, in half widths of a Chinese character."""
    return len(text) + sum(letter > "\u2e7f" for letter in text)


def safe(value: object) -> str:
    """Legal text of one cell; its lines stay lines."""
    text = "" if value is None else str(value)[: CELL * 8]
    lines = [clean(line, CELL) for line in text.split("\n")[:200]]
    return _ESCAPE.sub("_x005F_", "\n".join(lines)[:CELL])
