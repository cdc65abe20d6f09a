"""What the inventory says before anything is run: the hosts that a run must reach, and the secrets it will use."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maintenance import runbook
from maintenance.errors import CallError
from maintenance.redaction import PLAIN_NAME, SECRET_NAME

if TYPE_CHECKING:
    from ansible.inventory.manager import InventoryManager


@dataclass(frozen=True)
class Plan:
    """Hosts by name with their groups, and every secret value among their variables."""

    hosts: dict[str, list[str]]
    secrets: list[str]


def read(folder: Path, pattern: str, limit: str, vault_password_file: str = "") -> Plan:
    """Resolve a runbook's hosts in a site's inventory; raises CallError with what to mend."""
    # The engine sees none of the user's ANSIBLE_…; what is read here must be what it will read.
    for name in [name for name in os.environ if name.startswith("ANSIBLE_")]:
        if name != "ANSIBLE_VAULT_PASSWORD_FILE":
            del os.environ[name]
    os.environ["ANSIBLE_HOME"] = os.devnull  # as in the engine: no plugins of the user's
    os.environ["ANSIBLE_CONFIG"] = str(runbook.REPOSITORY / "ansible.cfg")
    from ansible import constants
    from ansible.cli import CLI
    from ansible.errors import AnsibleError
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.vars.manager import VariableManager

    for path in sorted(folder.rglob("*.y*ml")):  # Ansible itself only warns of a file that it cannot read
        _check_yaml(path)
    try:
        loader = DataLoader()
        if vault_password_file:
            files = [vault_password_file]
            loader.set_vault_secrets(
                CLI.setup_vault_secrets(loader, vault_ids=[], vault_password_files=files)
            )
        constants.HOST_PATTERN_MISMATCH = "ignore"  # what fits no host is named below, in one line
        inventory = InventoryManager(loader=loader, sources=[str(folder)])
        _check_names(inventory, folder, limit)
        if limit:
            inventory.subset(limit)
        found = inventory.get_hosts(pattern)
        variables = VariableManager(loader=loader, inventory=inventory)
        secrets: set[str] = set()
        for host in found:
            secrets.update(secret_values(variables.get_vars(host=host, include_hostvars=False)))
        for host in inventory.get_hosts("all", ignore_limits=True):
            if host not in found:  # a task may be delegated to it; a vault that is not opened tells nothing
                with contextlib.suppress(CallError, AnsibleError):
                    secrets.update(secret_values(variables.get_vars(host=host, include_hostvars=False)))
        for path in _vaulted_files(folder):  # everything in a file that was encrypted as a whole
            secrets.update(secret_values(loader.load_from_file(str(path)), vaulted=True))
    except (AnsibleError, OSError, ValueError) as error:
        raise CallError(f"the inventory {folder} cannot be used: {_one_line(error)}") from None
    if not found:
        groups = ", ".join(sorted(set(pattern.split(":"))))
        wanted = f"'{limit}' and the runbook's group {groups}" if limit else f"the runbook's group {groups}"
        raise _unknown_hosts(inventory, folder, wanted)
    return Plan(
        {host.name: sorted(group.name for group in host.get_groups()) for host in found}, sorted(secrets)
    )


def _check_names(inventory: InventoryManager, folder: Path, limit: str) -> None:
    """Every part of --limit must name something: a host with a slip of the pen would be left out in silence."""
    from ansible.inventory.manager import split_host_pattern

    parts = split_host_pattern(limit)
    if limit and not any(part.strip() for part in parts):
        raise _unknown_hosts(inventory, folder, f"'{limit}'")
    for part in parts:
        if not part.startswith(("!", "@")) and not inventory.list_hosts(part.removeprefix("&")):
            raise _unknown_hosts(inventory, folder, f"'{part}'")


def _unknown_hosts(inventory: InventoryManager, folder: Path, wanted: str) -> CallError:
    inventory.subset(None)
    known = ", ".join(sorted(host.name for host in inventory.list_hosts("all"))) or "none"
    return CallError(f"no host of {folder} fits {wanted}; its hosts are: {known}")


def _vaulted_files(folder: Path) -> list[Path]:
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                if file.read(14) == b"$ANSIBLE_VAULT":
                    found.append(path)
    return found


def _check_yaml(path: Path) -> None:
    """Malformed YAML is named with its line; Ansible's own tags (!vault) are its own business."""
    text = path.read_text(encoding="utf-8", errors="replace") if os.access(path, os.R_OK) else None
    if text is None:
        raise CallError(f"{path} cannot be read: Permission denied")
    if "!" not in text and not text.startswith("$ANSIBLE_VAULT"):
        runbook.read_yaml(path)


def secret_values(value: Any, name: str = "", *, vaulted: bool = False) -> Iterator[str]:
    """Values that were vaulted, and values of variables whose name, or the name of what they lie in, says secret."""
    from ansible.errors import AnsibleError
    from ansible.parsing.vault import EncryptedString

    if isinstance(value, dict):
        within = bool(SECRET_NAME.search(name))
        for key, item in value.items():
            inner = name if within and not PLAIN_NAME.fullmatch(str(key)) else str(key)
            yield from secret_values(item, inner, vaulted=vaulted)
    elif isinstance(value, list):
        for item in value:
            yield from secret_values(item, name, vaulted=vaulted)
    elif isinstance(value, EncryptedString):
        try:
            yield str(value)
        except AnsibleError as error:
            raise CallError(f"the vaulted variable '{name}' cannot be read: {_one_line(error)}") from None
    elif (
        (vaulted or SECRET_NAME.search(name))
        and isinstance(value, (str, int))
        and not isinstance(value, bool)
    ):
        text = str(value)
        if text and "{{" not in text:
            yield text


def digest(folder: Path) -> str:
    """sha256 over the names and bytes of a site's files, so that a record can say which inventory was used."""
    total = hashlib.sha256()
    for path in sorted(files_below(folder)):
        total.update(f"{path.relative_to(folder)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def files_below(root: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Regular files, also behind links to folders: Ansible follows these. A link to a folder above is not entered."""
    real = root.resolve()
    if real in above:
        return
    for path in sorted(root.iterdir()):
        if path.is_dir():
            yield from files_below(path, (*above, real))
        elif path.is_file():
            yield path


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
