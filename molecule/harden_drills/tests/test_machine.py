"""What needs a kernel of its own: audit rules, kernel parameters, a real reboot and a power cut on a real disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import yaml

from lab import builder, remote
from lab.calls import Done, call
from lab.hardening import comes_in, start_drill, state_of
from lab.plan import REPOSITORY, Lab
from lab.plan import inventory as describe_hosts
from lab.scenario import wait_until
from lab.site import folder as site_folder

REFUSES_ALL = [
    {
        "kind": "setting",
        "path": "/etc/ssh/sshd_config.d/00-drill.conf",
        "key": "DenyUsers",
        "value": "*",
        "then": [["systemctl", "reload", "ssh.service"]],
    },
    {"kind": "sysctl", "key": "kernel.sysrq", "value": "1"},
]
IN_TIME = 400  # a machine under software emulation starts in half a minute, and in many where others compute
# A few of each kind, since each rule costs an emulated machine seconds; and not what fixes the audit rules until the next
# start: what is fixed cannot go back before it.
KERNEL = ("--set", "harden_controls=LNX-AU-04B,LNX-AU-08A,LNX-IP-13A,LNX-IP-13B")
ONLY = (
    "--set",
    "harden_sessions=none",
    "--set",
    "harden_backup_hours=0",
    "--reason",
    "a new server",
    "--limit",
    "vm1",
)


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Iterator[str]:
    """A virtual machine and a site that has it; it is gone afterwards."""
    builder.up(lab, ["vm1"], bare=True)
    site = site_folder(lab).parent / f"{site_folder(lab).name}_vm"
    site.mkdir()
    (site / "hosts.yml").write_text(yaml.safe_dump(describe_hosts(lab, ["vm1"])))
    text = (REPOSITORY / "inventories" / "lab" / "site.yml").read_text()
    text = text.replace("site: lab\n", f"site: {site.name}\n")
    (site / "site.yml").write_text(text.replace("../../var/lab/", f"../../var/{lab.keys.name}/"))
    (site / "group_vars").mkdir()
    (site / "group_vars" / "all.yml").write_text("harden_window: any\n")
    try:
        settled(lab)
        yield site.name
    finally:
        for path in [*(site / "group_vars").iterdir(), site / "group_vars", *site.glob("*.yml")]:
            path.rmdir() if path.is_dir() else path.unlink()
        site.rmdir()
        for key in (REPOSITORY / "var" / "keys").glob(f"{site.name}_ed25519*"):
            key.unlink()
        builder.down(lab, ["vm1"])


def settled(lab: Lab) -> None:
    """systemd answers: on an emulated machine it is busy for a while after ssh is there."""
    asked = "systemctl list-unit-files > /dev/null && systemctl list-units > /dev/null"
    wait_until("the machine's units", IN_TIME, lambda: remote.attempt(lab, "vm1", asked).returncode == 0)


def kernel_state(root: Callable[[str, str], str]) -> list[str]:
    return state_of(root, "vm1") + root("vm1", "auditctl -l").splitlines()


def test_a_machine_that_starts_again_in_mid_change_has_its_old_state(
    machine: str, lab: Lab, root: Callable[[str, str], str]
) -> None:
    before = kernel_state(root)
    started = builder.boot_id(lab, "vm1")
    # The host itself starts anew while its change waits for the confirmation.
    starts = {
        "kind": "command",
        "name": "restart",
        "unless": ["false"],
        "argv": ["systemctl", "--no-block", "reboot"],
    }
    drill = start_drill(
        machine, "vm1", "drill-boot", [*REFUSES_ALL, starts], drill_confirms=False, harden_confirm_seconds=900
    )
    drill.communicate(timeout=IN_TIME)
    builder.wait_rebooted(lab, "vm1", started)
    wait_until("a login", IN_TIME, lambda: comes_in(lab, "vm1"))
    armed = "test -e /var/lib/maintenance/restore_points/armed && echo armed || echo over"
    wait_until("the end of the way back", IN_TIME, lambda: root("vm1", armed) == "over\n")
    assert "drill" in root("vm1", "ls /var/lib/maintenance/restore_points")
    assert set(kernel_state(root)) ^ set(before) == set()


def test_audit_rules_and_kernel_parameters_are_in_force_and_go_back_exactly(
    machine: str, root: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    ledger = tmp_path_factory.mktemp("vm") / "ledger"

    def run(book: str, *more: object) -> Done:
        return call(
            "run", book, "--site", machine, "--ledger", ledger, "--json", "--lang", "en", "--quiet", *more
        )

    before = kernel_state(root)
    assert "No rules" in before
    hardened = run("harden", *ONLY, *KERNEL)
    assert hardened.code == 0, hardened.err
    rules = root("vm1", "auditctl -l")
    assert "-w /etc/shadow -p wa -k identity" in rules
    assert "key=perm_mod" in rules
    assert root("vm1", "sysctl -n kernel.dmesg_restrict kernel.kptr_restrict").split() in (
        ["1", "1"],
        ["1", "2"],
    )
    judged = {item.id: item.verdict for item in hardened.record.evidence["vm1"]}
    assert judged["LNX-AU-04B"] == "pass"
    undone = run("undo_hardening", *ONLY)
    assert undone.code == 0, undone.err
    assert set(kernel_state(root)) ^ set(before) == set()
