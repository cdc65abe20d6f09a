"""Building blocks of the Word templates: styles, tables that keep their widths, headers, fields. Used by
make_templates.py alone; a report is filled in from the templates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import docx
from docx.enum.section import WD_ORIENT, WD_SECTION
from docx.enum.style import WD_STYLE_TYPE
from docx.enum.table import WD_ALIGN_VERTICAL, WD_TABLE_ALIGNMENT
from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_BREAK, WD_TAB_ALIGNMENT
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Pt, RGBColor

SERIF = ("Times New Roman", "宋体")
SANS = ("Arial", "黑体")
MONO = ("Courier New", "宋体")
PORTRAIT = 16.6  # width of the text in cm
LANDSCAPE = 25.3
_MARGIN = 2.2
_BLUE = RGBColor(0x1F, 0x3A, 0x5F)
_GREY = RGBColor(0x59, 0x59, 0x59)
_HEAD = "DCE6F1"


@dataclass(frozen=True)
class Column:
    """A column as make_templates.py writes it: `width | zh | en | value | fill, centre`; the last is optional."""

    width: float
    zh: str
    en: str
    value: str
    fill: str = ""
    centre: bool = False

    @classmethod
    def read(cls, line: str) -> Column:
        """Read one line; fill names the value that holds the colour."""
        width, zh, en, value, *rest = (part.strip() for part in line.split("|"))
        marks = [mark.strip() for mark in rest[0].split(",")] if rest else []
        fill = next((mark for mark in marks if mark != "centre"), "")
        return cls(float(width), zh, en, value, fill, "centre" in marks)


class Page:
    """A template being written, top to bottom."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.document = docx.Document()
        self._bookmarks = 0
        self._styles()
        section = self.document.sections[0]
        section.page_width, section.page_height = Cm(21), Cm(29.7)
        self._margins(section)

    def t(self, zh: str, en: str) -> str:
        """The text in the template's language."""
        return zh if self.language == "zh" else en

    # -- paragraphs

    def text(self, text: str, style: str = "Normal", *, centre: bool = False, keep: bool = False) -> None:
        """One paragraph; `keep` holds it on the page of what follows."""
        paragraph = self.document.add_paragraph(text, style=style)
        paragraph.paragraph_format.keep_with_next = keep or None
        if centre:
            paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER

    def chart(self, name: str, zh: str, en: str) -> None:
        """A picture with its caption, where there is one."""
        self.tag(f"if {name}")
        self.text(f"{{{{ {name} }}}}", centre=True, keep=True)
        self.text(self.t(zh, en), "Caption2", centre=True)
        self.tag("endif")

    def heading(self, text: str, level: int = 1, bookmark: str = "") -> None:
        """A heading that the table of contents can point at."""
        paragraph = self.document.add_heading(text, level)
        if bookmark:
            self._bookmarks += 1
            start, end = OxmlElement("w:bookmarkStart"), OxmlElement("w:bookmarkEnd")
            for mark in (start, end):
                mark.set(qn("w:id"), str(self._bookmarks))
            start.set(qn("w:name"), bookmark)
            paragraph._p.insert(1, start)
            paragraph._p.append(end)

    def tag(self, tag: str) -> None:
        """A docxtpl paragraph tag, which vanishes with its paragraph: {%p … %}."""
        self.document.add_paragraph(f"{{%p {tag} %}}")

    def when(self, condition: str, text: str, style: str = "Normal") -> None:
        """A paragraph that is there only under a condition."""
        self.tag(f"if {condition}")
        self.text(text, style)
        self.tag("endif")

    def page_break(self) -> None:
        """Start a new page."""
        self.document.add_paragraph().add_run().add_break(WD_BREAK.PAGE)

    # -- tables

    def table(self, loop: str, columns: str, style: str = "Cell") -> None:
        """A table with one row for each turn of `loop`; a line of `columns` is a column, see Column."""
        listed = [Column.read(line) for line in columns.strip().splitlines()]
        table = self._grid(4, [column.width for column in listed])
        for number, column in enumerate(listed):
            head = table.cell(0, number)
            self._cell(head, self.t(column.zh, column.en), "CellHead", fill=_HEAD, centre=True)
            head.paragraphs[0].paragraph_format.keep_with_next = True
            self._cell(
                table.cell(2, number),
                f"{{{{ r.{column.value} }}}}",
                style,
                background=f"r.{column.fill}" if column.fill else "",
                centre=column.centre,
            )
        _repeat_as_header(table.rows[0])
        _keep_whole(table.rows[2])
        self._cell(table.cell(1, 0), f"{{%tr for {loop} %}}", style)
        self._cell(table.cell(3, 0), "{%tr endfor %}", style)
        self._gap()

    def rows_or_note(self, name: str, columns: str, style: str = "Cell") -> None:
        """A table of `name.rows`, then `name.note`, which says what is missing and why."""
        self.tag(f"if {name}.rows")
        self.table(f"r in {name}.rows", columns, style)
        self.tag("endif")
        self.when(f"{name}.note", f"{{{{ {name}.note }}}}", "Note")

    def facts(self, rows: str, style: str = "Cell") -> None:
        """Names on the left, values on the right; a line is `zh | en | value` or `zh | en | value zh | value en`."""
        lines = [[part.strip() for part in line.split("|")] for line in rows.strip().splitlines()]
        table = self._grid(len(lines), [4.0, PORTRAIT - 4.0])
        for number, (zh, en, *values) in enumerate(lines):
            self._cell(table.cell(number, 0), self.t(zh, en), "CellHead", fill="F2F2F2")
            self._cell(table.cell(number, 1), self.t(values[0], values[-1]), style)
            _keep_whole(table.rows[number])
        self._gap()

    def numbers(self, columns: str) -> None:
        """One row of large numbers under their names; a line is `zh | en | value | fill`."""
        lines = [[part.strip() for part in line.split("|")] for line in columns.strip().splitlines()]
        table = self._grid(2, [PORTRAIT / len(lines)] * len(lines))
        for number, (zh, en, value, fill) in enumerate(lines):
            self._cell(table.cell(0, number), self.t(zh, en), "CellHead", fill=fill, centre=True)
            table.cell(0, number).paragraphs[0].paragraph_format.keep_with_next = True
            self._cell(table.cell(1, number), f"{{{{ {value} }}}}", "Number", centre=True)
        self._gap()

    def box(self, text: str, background: str) -> None:
        """One sentence in a coloured frame."""
        table = self._grid(1, [PORTRAIT])
        self._cell(table.cell(0, 0), text, "Box", background=background)
        self._gap()

    def signatures(self, left: Sequence[str], right: Sequence[str]) -> None:
        """Two blocks to be signed, side by side."""
        table = self._grid(1, [PORTRAIT / 2] * 2)
        for column, lines in enumerate((left, right)):
            cell = table.cell(0, column)
            self._cell(cell, lines[0], "CellHead")
            for line in lines[1:]:
                cell.add_paragraph(line, style="Sign")
        _keep_whole(table.rows[0])
        self._gap()

    def _grid(self, rows: int, widths: Sequence[float]) -> Any:
        """A table whose widths LibreOffice and Word both respect: fixed layout, grid and cells agree."""
        table = self.document.add_table(rows, len(widths))
        table.style = "Table Grid"
        table.autofit = False
        table.alignment = WD_TABLE_ALIGNMENT.CENTER
        for column, width in zip(table.columns, widths, strict=True):
            column.width = Cm(width)
            for cell in column.cells:
                cell.width = Cm(width)
        borders = OxmlElement("w:tblBorders")
        for side in ("top", "left", "bottom", "right", "insideH", "insideV"):
            line = OxmlElement(f"w:{side}")
            for key, value in (("val", "single"), ("sz", "4"), ("space", "0"), ("color", "A6A6A6")):
                line.set(qn(f"w:{key}"), value)
            borders.append(line)
        margins = OxmlElement("w:tblCellMar")
        for side, twips in (("top", "30"), ("left", "70"), ("bottom", "30"), ("right", "70")):
            edge = OxmlElement(f"w:{side}")
            edge.set(qn("w:w"), twips)
            edge.set(qn("w:type"), "dxa")
            margins.append(edge)
        layout = table._tbl.tblPr.find(qn("w:tblLayout"))
        layout.addprevious(borders)
        layout.addnext(margins)
        return table

    def _cell(
        self, cell: Any, text: str, style: str, *, fill: str = "", background: str = "", centre: bool = False
    ) -> None:
        paragraph = cell.paragraphs[0]
        paragraph.style = style
        cell.vertical_alignment = WD_ALIGN_VERTICAL.CENTER if style.endswith(("Head", "CoverCell")) else None
        if background:
            paragraph.add_run(f"{{% cellbg {background} %}}")
        paragraph.add_run(text)
        if centre:
            paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
        if fill:
            shade = OxmlElement("w:shd")
            for key, value in (("val", "clear"), ("color", "auto"), ("fill", fill)):
                shade.set(qn(f"w:{key}"), value)
            properties = cell._tc.get_or_add_tcPr()
            properties.insert_element_before(shade, "w:noWrap", "w:tcMar", "w:vAlign")

    def _gap(self) -> None:
        self.document.add_paragraph(style="Gap")

    # -- sections, headers, fields

    def section(self, *, landscape: bool) -> None:
        """Begin a section on a new page, upright or on its side."""
        section = self.document.add_section(WD_SECTION.NEW_PAGE)
        width, height = (29.7, 21) if landscape else (21, 29.7)
        section.orientation = WD_ORIENT.LANDSCAPE if landscape else WD_ORIENT.PORTRAIT
        section.page_width, section.page_height = Cm(width), Cm(height)
        self._margins(section)

    def header_and_footer(self, header: tuple[str, str], footer: str, page: tuple[str, str, str]) -> None:
        """The same head and foot in every section, at its own width; the cover has none."""
        for number, section in enumerate(self.document.sections):
            width = LANDSCAPE if section.orientation == WD_ORIENT.LANDSCAPE else PORTRAIT
            section.different_first_page_header_footer = number == 0
            section.header.is_linked_to_previous = section.footer.is_linked_to_previous = False
            top, bottom = section.header.paragraphs[0], section.footer.paragraphs[0]
            for paragraph, left in ((top, header[0]), (bottom, footer)):
                paragraph.style = "Running"
                paragraph.paragraph_format.tab_stops.add_tab_stop(Cm(width), WD_TAB_ALIGNMENT.RIGHT)
                paragraph.add_run(f"{left}\t")
            top.add_run(header[1])
            _line_under(top)
            before, between, after = page
            bottom.add_run(before)
            field(bottom, "PAGE", "1")
            bottom.add_run(between)
            field(bottom, "NUMPAGES", "1")
            bottom.add_run(after)

    def contents(self, entries: Sequence[tuple[str, str]]) -> None:
        """A table of contents whose page numbers are fields: (text, bookmark)."""
        for text, bookmark in entries:
            paragraph = self.document.add_paragraph(style="Contents")
            link = OxmlElement("w:hyperlink")
            link.set(qn("w:anchor"), bookmark)
            run = paragraph.add_run(text)
            link.append(run._r)
            paragraph._p.append(link)
            paragraph.add_run("\t")
            field(paragraph, f"PAGEREF {bookmark} \\h", "…")

    def _margins(self, section: Any) -> None:
        section.left_margin = section.right_margin = Cm(_MARGIN)
        section.top_margin, section.bottom_margin = Cm(2.3), Cm(2.0)
        section.header_distance = section.footer_distance = Cm(1.1)

    def _styles(self) -> None:
        styles = self.document.styles
        _font(styles["Normal"], SERIF, 10.5)
        styles["Normal"].paragraph_format.space_after = Pt(4)
        styles["Normal"].paragraph_format.line_spacing = 1.3
        language = OxmlElement("w:lang")
        language.set(qn("w:val"), "en-US")
        language.set(qn("w:eastAsia"), "zh-CN")
        styles["Normal"].element.get_or_add_rPr().append(language)
        for level, size, before, after in ((1, 16, 18, 8), (2, 12.5, 12, 5), (3, 10.5, 8, 3)):
            style = styles[f"Heading {level}"]
            _font(style, SANS, size, bold=level < 3, colour=_BLUE)
            style.paragraph_format.space_before, style.paragraph_format.space_after = Pt(before), Pt(after)
            style.paragraph_format.keep_with_next = True
        made = [  # name, fonts, size, bold, colour, space before and after, line spacing
            ("Cover", SANS, 28, True, _BLUE, 6, 10, 1.2),
            ("CoverSub", SANS, 16, False, _GREY, 4, 6, 1.2),
            ("CoverSmall", SANS, 11, False, _GREY, 4, 4, 1.2),
            ("CoverCell", SERIF, 11.5, False, None, 3, 3, 1.2),
            ("Cell", SERIF, 9, False, None, 0, 0, 1.1),
            ("CellHead", SANS, 9, False, None, 0, 0, 1.1),
            ("Dense", SERIF, 7.5, False, None, 0, 0, 1.05),
            ("Code", MONO, 7.5, False, None, 0, 0, 1.05),
            ("Number", SANS, 16, True, _BLUE, 2, 2, 1.1),
            ("Box", SANS, 11, False, None, 4, 4, 1.35),
            ("Sign", SERIF, 10.5, False, None, 9, 3, 1.2),
            ("Note", SERIF, 9, False, _GREY, 0, 5, 1.2),
            ("Caption2", SANS, 9, False, _GREY, 0, 8, 1.1),
            ("Running", SERIF, 8.5, False, _GREY, 0, 0, 1.0),
            ("Contents", SERIF, 10.5, False, None, 1, 1, 1.2),
            ("Gap", SERIF, 4, False, None, 0, 2, 1.0),
        ]
        for name, fonts, size, bold, colour, before, after, spacing in made:
            style = styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH)
            style.base_style = styles["Normal"]
            _font(style, fonts, size, bold=bold, colour=colour)
            shape = style.paragraph_format
            shape.space_before, shape.space_after, shape.line_spacing = Pt(before), Pt(after), spacing
        styles["Contents"].paragraph_format.tab_stops.add_tab_stop(Cm(PORTRAIT), WD_TAB_ALIGNMENT.RIGHT, 1)


def field(paragraph: Any, instruction: str, cached: str) -> None:
    """A field that Word and LibreOffice fill in when they lay out the page."""
    for kind in ("begin", "instruction", "separate", "text", "end"):
        run = paragraph.add_run()
        if kind == "instruction":
            element = OxmlElement("w:instrText")
            element.set(qn("xml:space"), "preserve")
            element.text = f" {instruction} "
        elif kind == "text":
            run.text = cached
            continue
        else:
            element = OxmlElement("w:fldChar")
            element.set(qn("w:fldCharType"), kind)
        run._r.append(element)


def _font(
    style: Any, fonts: tuple[str, str], size: float, *, bold: bool = False, colour: RGBColor | None = None
) -> None:
    style.font.size, style.font.bold, style.font.italic = Pt(size), bold, False
    if colour is not None:
        style.font.color.rgb = colour
    names = style.element.get_or_add_rPr().get_or_add_rFonts()
    for theme in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
        names.attrib.pop(qn(f"w:{theme}"), None)
    latin, chinese = fonts
    for key, name in (("ascii", latin), ("hAnsi", latin), ("eastAsia", chinese), ("cs", latin)):
        names.set(qn(f"w:{key}"), name)


def _repeat_as_header(row: Any) -> None:
    row._tr.get_or_add_trPr().append(OxmlElement("w:cantSplit"))
    row._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))


def _keep_whole(row: Any) -> None:
    row._tr.get_or_add_trPr().append(OxmlElement("w:cantSplit"))


def _line_under(paragraph: Any) -> None:
    frame = OxmlElement("w:pBdr")
    line = OxmlElement("w:bottom")
    for key, value in (("val", "single"), ("sz", "4"), ("space", "1"), ("color", "A6A6A6")):
        line.set(qn(f"w:{key}"), value)
    frame.append(line)
    properties = paragraph._p.get_or_add_pPr()
    properties.insert_element_before(frame, "w:shd", "w:tabs", "w:spacing", "w:ind", "w:jc", "w:rPr")
