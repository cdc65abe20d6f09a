"""What the inventory tells of secrets, before any host is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from maintenance import inventory


@pytest.mark.parametrize(
    ("variables", "secrets"),
    [
        ({"db_password": "s3cret", "db_user": "app"}, {"s3cret"}),
        ({"credentials": {"user": "app", "host": "db1", "key": "s3cret"}}, {"s3cret"}),
        ({"api_tokens": ["one-token", {"name": "x", "value": "two-token"}]}, {"one-token", "two-token"}),
        ({"pwd": "s3cret", "db_pass": "other", "passcode": "third"}, {"s3cret", "other", "third"}),
        ({"pass_max_days": "90", "path": "/x", "bypass_rules": "no"}, set()),
    ],
)
def test_values_whose_name_says_secret_are_known(variables: dict[str, object], secrets: set[str]) -> None:
    assert set(inventory.secret_values(variables)) == secrets


def test_secrets_of_hosts_that_a_task_may_be_delegated_to_are_known(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(
        "all: {hosts: {one: {}, two: {ansible_become_password: from-two}}, vars: {db_password: of-all}}"
    )
    plan = inventory.read(tmp_path, "all", "one")
    assert list(plan.hosts) == ["one"]
    assert {"from-two", "of-all"} <= set(plan.secrets)
