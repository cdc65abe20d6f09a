"""Verification in process gives the answer of `ssh-keygen -Y verify`, for sound, odd and hostile input."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from maintenance.errors import CallError, RefusedError
from maintenance.signing import SignatureError, Signer, Signers, fingerprint, make_key

WHEN = "2026-11-22T13:00:00Z"
TEXT = b"# maintenance-record-manifest v1\n"


def stock(file: Path, data: bytes, signature: Path, principal: str, namespace: str, when: str = WHEN) -> bool:
    """What ssh-keygen says."""
    compact = when.replace("-", "").replace(":", "").replace("T", "")
    command = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-f",
        str(file),
        "-I",
        principal,
        "-n",
        namespace,
        "-s",
        str(signature),
    ]
    return (
        subprocess.run([*command, f"-Overify-time={compact}"], input=data, capture_output=True).returncode
        == 0
    )


def ours(file: Path, data: bytes, signature: Path, principal: str, namespace: str, when: str = WHEN) -> bool:
    try:
        Signers(file).verify(data, signature.read_bytes(), principal, namespace, when)
    except SignatureError:
        return False
    return True


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Signer]:
    folder = tmp_path_factory.mktemp("keys")
    make_key(folder / "ed25519", "a")
    for kind, bits in (("rsa", "3072"), ("ecdsa", "256")):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-f", str(folder / kind)], check=True
        )
    return {name: Signer("a@b", folder / name) for name in ("ed25519", "rsa", "ecdsa")}


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
@pytest.mark.parametrize(
    ("line", "principal", "when"),
    [
        ("a@b {key}", "a@b", WHEN),
        ("a@b,c@d {key} comment here", "c@d", WHEN),
        ("*@b {key}", "a@b", WHEN),
        ("*@b,!a@b {key}", "a@b", WHEN),
        ("[ab]@b {key}", "a@b", WHEN),
        ('a@b namespaces="maintenance-record" {key}', "a@b", WHEN),
        ('a@b namespaces="maintenance-*,file" {key}', "a@b", WHEN),
        ('a@b namespaces="file" {key}', "a@b", WHEN),
        ("x@y {key}", "a@b", WHEN),
        ('a@b valid-after="20260101Z",valid-before="20270101Z" {key}', "a@b", WHEN),
        ('a@b valid-before="20260101Z" {key}', "a@b", WHEN),
        ('a@b valid-after="20270101Z" {key}', "a@b", WHEN),
        ('a@b valid-after="20261122130000Z" {key}', "a@b", WHEN),
        ('a@b valid-before="20261122130000Z" {key}', "a@b", WHEN),
        ("a@b cert-authority {key}", "a@b", WHEN),
        ("# only a comment\n\na@b {key}", "a@b", WHEN),
    ],
)
def test_the_answer_is_that_of_ssh_keygen(
    tmp_path: Path, keys: dict[str, Signer], kind: str, line: str, principal: str, when: str
) -> None:
    file, signature = tmp_path / "allowed", tmp_path / "sig"
    file.write_text(line.format(key=keys[kind].public_key) + "\n")
    signature.write_bytes(keys[kind].sign(TEXT, "maintenance-record"))
    for data in (TEXT, TEXT + b"x"):
        for namespace in ("maintenance-record", "file"):
            expected = stock(file, data, signature, principal, namespace, when)
            assert ours(file, data, signature, principal, namespace, when) is expected


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text + b"trailing",
        lambda text: b"leading\n" + text,
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(b"BEGIN SSH", b"BEGIN PGP"),
        lambda text: b"",
        lambda text: text.replace(b"A", b"B", 1),
        lambda text: b"\xff\xfe" + text,
        lambda text: text + text,
    ],
)
def test_damaged_armour_gets_the_same_answer(tmp_path: Path, keys: dict[str, Signer], damage) -> None:
    file, signature = tmp_path / "allowed", tmp_path / "sig"
    file.write_text(f"a@b {keys['ed25519'].public_key}\n")
    signature.write_bytes(damage(keys["ed25519"].sign(TEXT, "maintenance-record")))
    expected = stock(file, TEXT, signature, "a@b", "maintenance-record")
    assert ours(file, TEXT, signature, "a@b", "maintenance-record") is expected


def test_signing_does_not_fall_into_the_overwrite_trap(tmp_path: Path, keys: dict[str, Signer]) -> None:
    # ssh-keygen with a file argument and an existing .sig exits 0 without signing; two signatures must both be real.
    first, second = (keys["ed25519"].sign(text, "maintenance-record") for text in (b"one", b"two"))
    assert first != second


def test_a_key_in_an_agent_signs(
    tmp_path: Path, keys: dict[str, Signer], monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.PIPE)
    try:
        assert agent.stdout
        agent.stdout.readline()  # printed when it listens
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(["ssh-add", "-q", str(keys["ed25519"].key)], check=True)
        public = tmp_path / "only.pub"
        public.write_text(keys["ed25519"].public_key + "\n")
        signer = Signer("a@b", public)
        file, signature = tmp_path / "allowed", tmp_path / "sig"
        file.write_text(f"a@b {signer.public_key}\n")
        signature.write_bytes(signer.sign(TEXT, "maintenance-record"))
        assert stock(file, TEXT, signature, "a@b", "maintenance-record")
    finally:
        agent.terminate()
        agent.wait()
        if agent.stdout:
            agent.stdout.close()


def test_a_key_that_cannot_sign_says_what_to_look_at(tmp_path: Path, keys: dict[str, Signer]) -> None:
    public = tmp_path / "absent.pub"
    public.write_text(keys["ed25519"].public_key + "\n")
    with pytest.raises(RefusedError, match="did not sign"):
        Signer("a@b", public).sign(TEXT, "maintenance-record")
    (tmp_path / "nonsense").write_text("no key")
    with pytest.raises(CallError, match="not an SSH key"):
        Signer("a@b", tmp_path / "nonsense").public_key  # noqa: B018  (the property is what fails)


def test_a_fingerprint_is_the_one_that_ssh_keygen_prints(keys: dict[str, Signer]) -> None:
    printed = subprocess.run(
        ["ssh-keygen", "-lf", f"{keys['rsa'].key}.pub"], capture_output=True, text=True
    ).stdout
    assert fingerprint(keys["rsa"].public_key) == printed.split()[1]
