"""Hold measurements against the knowledge base. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def alerts(values: Mapping[str, Any], rules: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The rules that a set of measurements breaks, in the order of the rules. No value breaks no rule."""
    found = []
    for rule in rules:
        value = values.get(rule["parameter"])
        if value is None:
            continue
        too_low = rule["low"] is not None and value < rule["low"]
        too_high = rule["high"] is not None and value > rule["high"]
        if too_low or too_high:
            found.append({"code": rule["code"], "title": rule["title"], "advice": rule["advice"]})
    return found
