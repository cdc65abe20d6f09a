"""Secrets and patients planted wherever a run and a log entry meet them; then everything that is left is searched.

molecule/inspect/tests/test_secrets.py does the same for inspections of real hosts.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import secrets
import shutil
import subprocess
import threading
import urllib.parse
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import REPOSITORY

PYTHON = REPOSITORY / ".venv" / "bin" / "python"
SITE = REPOSITORY / "inventories" / "test_secrets_everywhere"
# Known to the site or to the call, by vault or by name; then what only its form betrays.
KNOWN = ("vault_password", "vaulted_file", "vaulted_value", "variable", "connection", "set", "vars")
FORMS = ("bearer", "url", "assignment", "key_body")
PATIENT = {
    "name": "倩雪",  # of 欧阳倩雪: the surname may stay
    "resident_id": "450303199001014711",
    "mobile": "13977340917",
    "mobile_dashed": "139-7734-0917",
    "number": "ZY77301234",
}
WRAPPER = f"""
import json, sys
from pathlib import Path
sys.path.insert(0, {str(REPOSITORY)!r})
from maintenance import runbook, variables
runbook.PLAYBOOKS = Path(sys.argv[1])
variables.ROLES = Path(sys.argv[1]) / "roles"
import runner
sys.exit(runner.main(json.loads(Path(sys.argv[2]).read_text())))
"""


@dataclass
class Place:
    """What was planted, and what was said and seen while it was used."""

    folder: Path
    values: dict[str, str]
    said: list[tuple[str, str]] = field(default_factory=list)
    command_lines: set[bytes] = field(default_factory=set)
    codes: list[int] = field(default_factory=list)

    @property
    def everything(self) -> dict[str, str]:
        """Every planted value by its name."""
        return {**self.values, **PATIENT}

    @property
    def written(self) -> str:
        """What a person writes without thinking: a patient, the site's secrets, and what only its form betrays."""
        of = self.values
        numbers = f"身份证 {PATIENT['resident_id']}，电话 {PATIENT['mobile']}，{PATIENT['mobile_dashed']}"
        return (
            f"患者欧阳倩雪，{numbers}，住院号：{PATIENT['number']}；\n"
            f"账号 {of['vaulted_value']} {of['variable']} {of['connection']} {of['vaulted_file']}；\n"
            f"Authorization: Bearer {of['bearer']} postgresql://app:{of['url']}@db1/x password={of['assignment']}\n"
            f"-----BEGIN OPENSSH PRIVATE KEY-----\n{of['key_body']}\n-----END OPENSSH PRIVATE KEY-----\n"
        )

    @property
    def printed(self) -> str:
        """What a program prints: also what only this run was given, which no later text can be known to hold."""
        return f"{self.written} {self.values['set']} {self.values['vars']}"

    def call(self, *arguments: object) -> int:
        """./runner.py with these arguments. They are read from a file, so that the command line of the test itself
        is none of what is looked at."""
        given = self.folder / "arguments"
        given.write_text(json.dumps([*map(str, arguments)]))
        command = [str(PYTHON), "-c", WRAPPER, str(self.folder / "playbooks"), str(given)]
        environment = {**os.environ, "TMPDIR": str(self.folder / "tmp"), "HOME": str(self.folder / "home")}
        stop = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(stop,))
        watcher.start()
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, env=environment, cwd="/", check=False
            )
        finally:
            stop.set()
            watcher.join()
        given.unlink()
        self.said += [(f"stdout of {arguments[0]}", done.stdout), (f"stderr of {arguments[0]}", done.stderr)]
        self.codes.append(done.returncode)
        return done.returncode

    def _watch(self, stop: threading.Event) -> None:
        """The command lines of all processes, as any user of the machine can read them, again and again."""
        while not stop.is_set():
            # Names first, files after: a glob that looks into each process fails when one ends under its eyes.
            for process in Path("/proc").iterdir():
                try:
                    self.command_lines.add((process / "cmdline").read_bytes())
                except OSError:
                    continue


def vault(place: Place, *arguments: str) -> str:
    command = [str(REPOSITORY / ".venv" / "bin" / "ansible-vault"), arguments[0]]
    command += ["--vault-password-file", str(place.folder / "vault-password"), *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout


def make_site(place: Place) -> None:
    """A site with secrets as a vaulted file, a vaulted value, a plain variable, and a connection's password."""
    SITE.mkdir()
    (SITE / "group_vars" / "all").mkdir(parents=True)
    password = place.folder / "vault-password"
    password.write_text(place.values["vault_password"])
    password.chmod(0o600)
    variables = SITE / "group_vars" / "all"
    (variables / "vault.yml").write_text(f"interface_account: {place.values['vaulted_file']}\n")
    vault(place, "encrypt", str(variables / "vault.yml"))
    one = vault(place, "encrypt_string", "--name", "lis_account", place.values["vaulted_value"])
    (variables / "accounts.yml").write_text(
        f"---\n{one}\ndialysis_database_password: {place.values['variable']}\n"
        f"ansible_become_password: {place.values['connection']}\n"
    )
    host = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
    (SITE / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"one": host}}}))
    key = place.folder / "engineer"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = " ".join((place.folder / "engineer.pub").read_text().split()[:2])
    (SITE / "allowed_signers").write_text(f'e@v namespaces="maintenance-record" {public}\n')
    (SITE / "site.yml").write_text(
        f"site: {SITE.name}\nprincipal: e@v\nkey: {key}\nledger: {place.folder / 'ledger'}\norders: optional\n"
        f"vault_password_file: {password}\nfacts: {{hospital: 示例医院, vendor: 示例公司}}\n"
    )


def tasks(place: Place) -> list[dict[str, Any]]:
    """Output, facts, diffs, loops, names, environments and failures, each with everything in it."""
    target = place.folder / "target"
    text = "{{ everything }}"
    name = f"患者欧阳倩雪_{PATIENT['resident_id']}_{{{{ trial_password }}}}.txt"
    accounts = ["{{ lis_account }}", "{{ dialysis_database_password }}", "{{ interface_account }}"]
    return [
        {"name": "Say it", "ansible.builtin.command": {"argv": ["printf", "%s", text]}, "register": "said"},
        {
            "name": "Keep it as a fact",
            "ansible.builtin.set_fact": {"kept": "{{ said.stdout }}", "cacheable": True},
        },
        {"name": "Show it", "ansible.builtin.debug": {"var": "kept"}},
        {
            "name": "Write it, with its difference",
            "ansible.builtin.copy": {"dest": f"{target}/difference", "content": text, "mode": "0600"},
            "diff": True,
        },
        {
            "name": "Write a file that is named by it: {{ trial_password }}",
            "ansible.builtin.copy": {"dest": f"{target}/{name}", "content": "x", "mode": "0600"},
            "diff": True,
        },
        {
            "name": "Go through {{ lis_account }} and others",
            "ansible.builtin.lineinfile": {
                "path": f"{target}/difference",
                "line": "account {{ item }}",
            },
            "loop": accounts,
            "diff": True,
        },
        {
            "name": "Fail with it, and go on",
            "ansible.builtin.shell": 'echo "$PLANTED" >&2; echo "$PLANTED"; exit 3',
            "environment": {"PLANTED": text},
            "ignore_errors": True,
        },
        {
            "name": "Ask for a file that is named by it",
            "ansible.builtin.slurp": {"src": f"/nonexistent/{name}"},
            "ignore_errors": True,
        },
        {
            "name": "Fail for good",
            "ansible.builtin.fail": {"msg": text},
            "when": "trial_fails | default(false)",
        },
    ]


def make_runbook(place: Place) -> None:
    role = place.folder / "playbooks" / "roles" / "trial"
    (role / "meta").mkdir(parents=True)
    (role / "tasks").mkdir()
    (place.folder / "target").mkdir()
    options = {
        "trial_password": {"type": "str"},
        "trial_account": {"type": "dict"},
        "trial_fails": {"type": "bool"},
    }
    specs = {"argument_specs": {"main": {"short_description": "Trial", "options": options}}}
    (role / "meta" / "argument_specs.yml").write_text(json.dumps(specs))
    (role / "tasks" / "main.yml").write_text(json.dumps(tasks(place)))
    (role / "vars").mkdir()
    (role / "vars" / "main.yml").write_text(json.dumps({"everything": place.printed}))
    header = {
        "title": {"zh": "试验", "en": "Trial"},
        "clauses": ["4.1.5"],
        "changes": "reversible",
        "undo": "trial",
        "approvals": 0,
    }
    play = {
        "name": "Trial",
        "hosts": "all",
        "gather_facts": False,
        "vars": {"runbook": header},
        "roles": [{"role": "trial"}],
    }
    (place.folder / "playbooks" / "trial.yml").write_text(json.dumps([play]))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A run that succeeds, one in check mode, one that fails; log entries, a case, a pack: with it all in each."""
    folder = tmp_path_factory.mktemp("secrets")
    for name in ("tmp", "home"):
        (folder / name).mkdir()
    made = Place(folder, {name: f"Zq{secrets.token_hex(9)}" for name in (*KNOWN, *FORMS)})
    try:
        make_site(made)
        make_runbook(made)
        given = folder / "given.yml"
        given.write_text(json.dumps({"trial_account": {"user": "app", "password": made.values["vars"]}}))
        given.chmod(0o600)
        inputs = ["--set", f"trial_password={made.values['set']}", "--vars", given]
        run = ["run", "trial", "--site", SITE.name, "--reason", made.printed, *inputs]
        made.call(*run)
        made.call(*run, "--check", "--json")
        made.call(*run, "--set", "trial_fails=true")
        written = ["--site", SITE.name]
        attachment = folder / f"患者欧阳倩雪_{PATIENT['resident_id']}_{made.values['vaulted_value']}.txt"
        attachment.write_text("nothing to hide\n")
        text = made.written
        made.call(
            *("log", "phone", *written, "--text", text, "--attach", attachment),
            *(
                item
                for name in ("caller", "department", "question", "answer")
                for item in ("--field", f"{name}={text}")
            ),
        )
        case = ["--title", text[:60], "--reporter", "王芳 " + PATIENT["mobile"], "--department", "血透室"]
        made.call("case", "open", *written, "--case", "F1", *case, "--operation", text, "--impact", text)
        holding = folder / "holding.txt"
        holding.write_text(text)
        made.call("log", "advice", *written, "--field", "question=x", "--attach", holding)
        made.call("show", "3", *written)
        made.call("case", "show", "F1", *written)
        made.call("case", "document", "F1", *written, "-o", folder / "documents")
        made.call("pack", *written, "-o", folder / "pack.zip")
        made.call("verify", *written)
        yield made
    finally:
        shutil.rmtree(SITE, ignore_errors=True)


def texts_of(path: str, data: bytes, folder: Path) -> Iterator[tuple[str, bytes]]:
    """A file as it is, and as those read it who unpack it."""
    yield path, data
    if path.endswith(".gz"):
        yield f"{path} unpacked", gzip.decompress(data)
    elif path.endswith((".docx", ".zip")):
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            for name in parts.namelist():
                yield f"{path}: a name", name.encode()
                yield from texts_of(f"{path}/{name}", parts.read(name), folder)
    elif path.endswith(".pdf"):
        file = folder / "one.pdf"
        file.write_bytes(data)
        done = subprocess.run(["pdftotext", str(file), "-"], capture_output=True, check=True)
        yield f"{path} as text", done.stdout


def spellings(value: str) -> set[bytes]:
    """As it may be spelled somewhere."""
    return {
        value.encode(),
        json.dumps(value)[1:-1].encode(),
        urllib.parse.quote(value).encode(),
        base64.b64encode(value.encode()).rstrip(b"=")[:-1],
        value.encode("gb18030"),
        value.encode("utf-16-le"),
    }


def found(place: Place, texts: list[tuple[str, bytes]]) -> list[tuple[str, str]]:
    """(where, which) of every planted value."""
    wanted = {name: spellings(value) for name, value in place.everything.items()}
    return [
        (where, name)
        for where, data in texts
        for name, forms in wanted.items()
        if any(form in data for form in forms)
    ]


def files_of(root: Path, folder: Path) -> list[tuple[str, bytes]]:
    paths = [path for path in sorted(root.rglob("*")) if path.is_file()]
    texts = [("a name", str(path.relative_to(root)).encode()) for path in sorted(root.rglob("*"))]
    return texts + [
        item for path in paths for item in texts_of(str(path.relative_to(root)), path.read_bytes(), folder)
    ]


def test_it_was_really_there(place: Place) -> None:
    """The runs, entries and documents were made, and the hosts really held every planted value."""
    assert place.codes == [0, 0, 1, 0, 0, 3, 0, 0, 0, 0, 0], place.said
    target = files_of(place.folder / "target", place.folder)
    assert {name for _, name in found(place, target)} == set(place.everything) - {"vault_password"}
    said = " ".join(text for _, text in place.said)
    assert "looks like a secret or a personal number" in said or "a known secret is still in" in said
    record = json.loads(next(place.folder.glob("ledger/*-close-*/record.json")).read_bytes())
    rules = record["redaction"]["hits"]
    assert {"known_value", "patient_name", "resident_id", "mobile_phone"} <= set(rules), rules
    assert record["changes"]
    assert {path.suffix for path in place.folder.glob("ledger/*/documents/*")} >= {".docx", ".pdf"}


def test_nothing_of_it_is_in_the_ledger(place: Place) -> None:
    texts = files_of(place.folder / "ledger", place.folder)
    assert len(texts) > 60
    assert found(place, texts) == []


def test_nothing_of_it_is_in_the_pack(place: Place) -> None:
    texts = list(texts_of("pack.zip", (place.folder / "pack.zip").read_bytes(), place.folder))
    assert len(texts) > 60
    assert found(place, texts) == []


def test_nothing_of_it_is_in_documents_made_on_the_way(place: Place) -> None:
    texts = files_of(place.folder / "documents", place.folder)
    assert texts
    assert found(place, texts) == []


def test_nothing_of_it_was_said(place: Place) -> None:
    assert found(place, [(where, text.encode()) for where, text in place.said]) == []


def test_nothing_of_it_is_left_in_temporary_folders_or_at_home(place: Place) -> None:
    assert found(place, files_of(place.folder / "tmp", place.folder)) == []
    assert found(place, files_of(place.folder / "home", place.folder)) == []
    assert not list((place.folder / "tmp").glob("maintenance-*"))


def test_no_command_line_showed_it(place: Place) -> None:
    """But for what the test's own tasks put there: an argument, an environment, and the name of a file."""
    own = (b"printf", b"PLANTED", b"/target/", b"/nonexistent/", b"ansible-vault")
    lines = [line for line in place.command_lines if not any(word in line for word in own)]
    assert any(b"ansible-playbook" in line for line in lines)
    assert found(place, [(repr(line[:200]), line) for line in lines]) == []
