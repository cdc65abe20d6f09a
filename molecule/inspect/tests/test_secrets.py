"""Secrets of the site and of its hosts: whatever is planted is found nowhere of what a run leaves."""

from __future__ import annotations

import gzip
import secrets
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Done, another_site, call, inspect

from lab.calls import environment
from maintenance.private_folder import PREFIX


@dataclass
class Planted:
    """The secrets by where they are, and the inspection that went past them."""

    values: dict[str, str]
    done: Done
    host: dict[str, str]


def plant_in_site(folder: Path, values: dict[str, str], scratch: Path) -> None:
    """One as a whole vaulted file, one as a vaulted value, one as a plain variable."""
    password = scratch / "vault-password"
    password.write_text(values["vault_password"])
    password.chmod(0o600)
    variables = folder / "group_vars" / "all"
    vault = ["ansible-vault", "encrypt", "--vault-password-file", str(password)]
    (variables / "vault.yml").write_text(f"vault_interface_account: {values['vaulted_file']}\n")
    subprocess.run([*vault, str(variables / "vault.yml")], env=environment(), check=True, capture_output=True)
    one = subprocess.run(
        ["ansible-vault", "encrypt_string", *vault[2:], "--name", "lis_account", values["vaulted_value"]],
        env=environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    (variables / "accounts.yml").write_text(
        f"---\n{one.stdout}\ndialysis_database_password: {values['variable']}\n"
    )
    with (folder / "site.yml").open("a") as file:
        file.write(f"vault_password_file: {password}\n")


# A process, a job, a failing unit's command and message: each with a secret, as they are found in hospitals.
ON_HOST = """
systemd-run --quiet --unit=planted-process --description='Report of {process}' \
  bash -c 'exec -a "report --user=lis --password={process}" sleep infinity'
printf '0 4 * * * root PGPASSWORD={job} /usr/bin/true\n' > /etc/cron.d/planted
cat > /etc/systemd/system/planted-unit.service <<'END'
[Unit]
Description=Transfer to the laboratory, password={description}
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo "<3>login failed: token={message}" >&2; echo "<3>account {vaulted_value}" >&2; exit 1'
END
systemctl daemon-reload
systemctl start planted-unit.service || true
cp -p /etc/os-release /root/os-release.kept
sed -i 's/^PRETTY_NAME=.*/PRETTY_NAME="Debian of {vaulted_file}"/' "$(readlink -f /etc/os-release)"
"""
OFF_HOST = """
systemctl stop planted-process.service
cp -p /root/os-release.kept "$(readlink -f /etc/os-release)"
rm -f /etc/cron.d/planted /etc/systemd/system/planted-unit.service /root/os-release.kept
systemctl daemon-reload
systemctl reset-failed planted-unit.service 2>/dev/null || true
"""


@pytest.fixture(scope="module")
def planted(
    site: str, root: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planted]:
    """An inspection of app1 among all of them."""
    places = "vault_password vaulted_file vaulted_value variable process job description message"
    values = {name: f"Zq{secrets.token_hex(8)}" for name in places.split()}
    scratch = tmp_path_factory.mktemp("secrets")
    with another_site(site, "s") as folder:
        plant_in_site(folder, values, scratch)
        try:
            root("app1", ON_HOST.format(**values))
            seen = {"journal": root("app1", "journalctl -u planted-unit --no-pager -o cat")}
            seen["processes"] = root("app1", "ps -eo args")
            done = inspect(folder.name, scratch / "ledger", "--limit", "app1")
            yield Planted(values, done, seen)
        finally:
            root("app1", OFF_HOST)


def texts_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file as it is, and as those read it who unpack it."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        yield str(path), data
        if path.suffix == ".gz":
            yield f"{path} unpacked", gzip.decompress(data)
        elif path.suffix == ".docx":
            with zipfile.ZipFile(path) as parts:
                yield from ((f"{path}/{name}", parts.read(name)) for name in parts.namelist())
        elif path.suffix == ".pdf":
            done = subprocess.run(["pdftotext", str(path), "-"], capture_output=True, check=True)
            yield f"{path} as text", done.stdout


def test_they_were_really_there(planted: Planted) -> None:
    assert planted.done.code == 0, planted.done.err
    assert planted.values["message"] in planted.host["journal"]
    assert planted.values["vaulted_value"] in planted.host["journal"]
    assert planted.values["process"] in planted.host["processes"]
    failed = [item.subject for item in planted.done.record.evidence["app1"] if item.id == "HOST-SVC-01"]
    assert failed == ["planted-unit.service"]
    assert planted.done.record.redaction.hits["known_value"] > 0


def test_none_of_them_is_in_the_ledger_or_in_what_was_said(planted: Planted) -> None:
    ledger = planted.done.entry.parent
    texts = [*texts_of(ledger), ("stdout", planted.done.out.encode()), ("stderr", planted.done.err.encode())]
    assert len(texts) > 20
    found = [
        (where, name)
        for where, data in texts
        for name, value in planted.values.items()
        if value.encode() in data
    ]
    assert found == []


def test_none_of_them_is_left_in_a_temporary_folder(planted: Planted) -> None:
    temporary = Path(tempfile.gettempdir())
    assert not list(temporary.glob(f"{PREFIX}*"))
    folders = [Path.home() / ".ansible", *temporary.glob("ansible*"), *temporary.glob("tmp*")]
    command = ["grep", "-rlF", *(word for value in planted.values.values() for word in ("-e", value)), "--"]
    done = subprocess.run(
        [*command, *map(str, folders)], capture_output=True, text=True, env={**environment(), "LC_ALL": "C"}
    )
    assert done.stdout == ""


def test_the_ledger_is_sound(planted: Planted) -> None:
    assert call("verify", planted.done.entry.parent).code == 0
