"""Page numbers of the Word document's table of contents.

They are fields: LibreOffice fills them in when it makes the PDF, Word only when a reader presses F9. So the numbers
of the PDF are written into the Word document, as what its fields show until then.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

_PART = "word/document.xml"
_FIELD = re.compile(
    r'(> PAGEREF \w+ \\h </w:instrText>.*?fldCharType="separate"/></w:r><w:r>)<w:t>[^<]*</w:t>',
    re.DOTALL,
)


def number(document: Path, pdf: Path) -> bool:
    """Write the PDF's page numbers into the contents of the document that it was made from; False if unknown."""
    with zipfile.ZipFile(document) as archive:
        parts = [(item, archive.read(item)) for item in archive.infolist()]
    text = next(data for item, data in parts if item.filename == _PART).decode("utf-8")
    pages = _pages(pdf)
    if not pages or len(pages) != len(_FIELD.findall(text)):
        return False
    left = iter(pages)
    numbered = _FIELD.sub(lambda match: f"{match[1]}<w:t>{next(left)}</w:t>", text)
    temporary = document.with_suffix(".tmp")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for item, data in parts:
            archive.writestr(item, numbered.encode("utf-8") if item.filename == _PART else data)
    temporary.replace(document)
    return True


def _pages(pdf: Path) -> list[str]:
    """The numbers of the second page, which is the table of contents."""
    if shutil.which("pdftotext") is None:
        return []
    command = ["pdftotext", "-layout", "-f", "2", "-l", "2", str(pdf), "-"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=20)
    return re.findall(r"\.{4,}\s*(\d+)\s*$", done.stdout, re.MULTILINE)
