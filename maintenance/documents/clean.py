"""Text of a host made fit for a page: legal in XML, without escapes or marks that reorder it, and cut to its cell.

What is replaced shows as U+FFFD, so that a reader sees that something was there. The record holds the original.
"""

from __future__ import annotations

import re
from typing import Any

CELL = 300  # characters of one cell; the record holds the rest

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_SPACE = re.compile(r"[ \t\r\n\x0b\x0c\x1c-\x1f\x85\u2028\u2029]+")
_ILLEGAL = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # control characters
    "\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"  # invisible, or turning the direction of text
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"  # halves of surrogate pairs and non-characters
    "|[\U0001fffe\U0001ffff\U0002fffe\U0002ffff\U000e0000-\U000e0fff]"
)


def clean(value: Any, limit: int = CELL) -> str:
    """One line of legal text, at most `limit` characters; None is empty."""
    if value is None:
        return ""
    text = str(value)[: limit * 8]  # a hostile length costs no more than a page
    text = _ILLEGAL.sub("\ufffd", _ANSI.sub("", _SPACE.sub(" ", text))).strip()
    # docxtpl turns these marks of its own into Jinja delimiters when a page is made.
    for mark in ("{_{", "}_}", "{_%", "%_}"):
        text = text.replace(mark, mark[0] + "\u2009" + mark[1:])
    return text if len(text) <= limit else text[: limit - 1] + "…"
