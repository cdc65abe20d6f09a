"""Word to PDF with LibreOffice, with Simplified Chinese glyphs. Where it cannot be done, the reason is returned."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from maintenance.documents import contents

TIMEOUT_SECONDS = 60

# Where 宋体 and 黑体 are not installed, LibreOffice takes Japanese shapes, or boxes where there is no Chinese
# font at all. The fonts of the wheel have Simplified Chinese shapes alone, so the names in a PDF tell the truth.
_CHINESE = {
    "Noto Serif SC": ("宋体", "SimSun", "NSimSun"),
    "Noto Sans SC": ("黑体", "SimHei", "Microsoft YaHei"),
}
_LATIN = {
    "Noto Serif SC": ("Times New Roman",),
    "Noto Sans SC": ("Arial", "Courier New"),
}  # without Liberation


def convert(document: Path, folder: Path, *, timeout: float = TIMEOUT_SECONDS) -> tuple[Path | None, str]:
    """The PDF of a Word document in `folder`, or None and why there is none. Never raises for a missing tool.

    The document's own table of contents gets the page numbers that were found on the way.
    """
    office = shutil.which("soffice") or shutil.which("libreoffice")
    if office is None:
        return None, "LibreOffice is not installed; `make setup-pdf` installs it"
    with tempfile.TemporaryDirectory(prefix="maintenance-pdf-") as scratch:
        command = [
            office,
            f"-env:UserInstallation=file://{scratch}/profile",
            "--headless",
            "--norestore",
            "--convert-to",
            "pdf:writer_pdf_Export",
            "--outdir",
            scratch,
            str(document),
        ]
        said = _run(command, _environment(Path(scratch)), timeout)
        made = Path(scratch) / f"{document.stem}.pdf"
        if not made.is_file() or made.stat().st_size == 0:
            return None, said or "LibreOffice made no file and gave no reason"
        target = folder / made.name
        shutil.copyfile(made, target)
        contents.number(document, target)
        return target, ""


def _run(command: list[str], environment: dict[str, str], timeout: float) -> str:
    """Run LibreOffice in a process group of its own, so that a hung one can be ended whole; returns what it said."""
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return f"LibreOffice took longer than {timeout:.0f} s"
    return (
        ""
        if process.returncode == 0
        else f"LibreOffice ended with {process.returncode}: {said.strip()[-300:]}"
    )


def _environment(scratch: Path) -> dict[str, str]:
    """A clean one: nothing of the run's own environment is needed, nor should a document see it."""
    fonts = scratch / "fonts.conf"
    fonts.write_text(_fonts_configuration(), encoding="utf-8")
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(scratch),
        "LANG": "C.UTF-8",
        "FONTCONFIG_FILE": str(fonts),
        "SAL_USE_VCLPLUGIN": "svp",
    }


def _fonts_configuration() -> str:
    """The system's fonts, with our own for the names that a report uses."""
    import pylopdf_fonts_zh_cn

    def rules(families: Mapping[str, tuple[str, ...]], mode: str) -> list[str]:
        return [
            f'<match target="pattern"><test qual="any" name="family"><string>{name}</string></test>'
            f'<edit name="family" mode="{mode}" binding="strong"><string>{family}</string></edit></match>'
            for family, names in families.items()
            for name in names
        ]

    lines = [
        '<?xml version="1.0"?>',
        '<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">',
        "<fontconfig>",
        f"<dir>{pylopdf_fonts_zh_cn.sans_path().parent}</dir>",
        *rules(_CHINESE, "prepend"),
        '<include ignore_missing="yes">/etc/fonts/fonts.conf</include>',
        *rules(_LATIN, "append"),
        "</fontconfig>",
    ]
    return "\n".join(lines) + "\n"
