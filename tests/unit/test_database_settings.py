"""Settings are the same however they are written."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from lab.plan import REPOSITORY


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """library/database_settings.py."""
    spec = importlib.util.spec_from_file_location("settings", REPOSITORY / "library" / "database_settings.py")
    assert spec and spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize(
    ("wanted", "shown", "kept", "unit", "equal"),
    [
        ("60s", "1min", "60", "s", True),
        ("1min", "1min", "60", "s", True),
        ("2min", "1min", "60", "s", False),
        ("10GB", "10GB", "10240", "MB", True),
        ("10240MB", "10GB", "10240", "MB", True),
        ("128MB", "128MB", "16384", "8kB", True),
        ("-1", "-1", "-1", "MB", True),
        ("pgbackrest %p", "/bin/true", "/bin/true", None, False),
        ("", "/bin/true", "/bin/true", None, False),
        ("on", "on", "on", None, True),
    ],
)
def test_a_value_is_compared_by_what_it_means(
    module: ModuleType, wanted: str, shown: str, kept: str, unit: str | None, equal: bool
) -> None:
    assert module.same(wanted, {"shown": shown, "kept": kept, "unit": unit}) is equal
