"""Which of a host's expected services come back after a power cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils import snapshot_services
from ansible.module_utils.snapshot_host import Host


@pytest.mark.parametrize(
    ("state", "linked", "enabled"),
    [("enabled", False, True), ("enabled-runtime", True, True), ("enabled-runtime", False, False)],
)
def test_a_unit_that_a_generator_starts_comes_back_and_one_enabled_until_the_next_start_does_not(
    tmp_path: Path, state: str, linked: bool, enabled: bool
) -> None:
    name = "postgresql@15-main.service"
    wants = tmp_path / "run/systemd/generator/postgresql.service.wants"
    wants.mkdir(parents=True)
    if linked:
        (wants / name).symlink_to("/lib/systemd/system/postgresql@.service")
    unit = {"Id": name, "LoadState": "loaded", "UnitFileState": state}
    generated = snapshot_services._generated(Host(root=str(tmp_path)))
    assert snapshot_services._expected(unit, name, generated)["enabled"] is enabled
