"""Probe of certificates: in files, and behind the TLS ports of this host.

openssl reads them, not Python's ssl module: loading that costs more than all certificates of a usual host."""

from __future__ import annotations

import re
import time
from typing import Any, Dict, List, Optional

from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_network import listening
from ansible.module_utils.snapshot_text import dated, instant, integer, present

# Only ports that are meant for TLS are spoken to: a handshake in the log of another service would alarm its keeper.
_TLS_PORTS = frozenset((443, 465, 636, 853, 989, 990, 993, 995, 3269, 5671, 6443, 8443, 9443))
_FOLDERS = (
    "/etc/nginx",
    "/etc/nginx/ssl",
    "/etc/nginx/certs",
    "/etc/nginx/cert",
    "/etc/httpd/ssl",
    "/etc/apache2/ssl",
)
_MAXIMUM = 40
_SECONDS = 4.0  # for one handshake
_BLOCK = re.compile(
    rb"-----BEGIN (?:TRUSTED )?CERTIFICATE-----.*?-----END (?:TRUSTED )?CERTIFICATE-----", re.DOTALL
)


def certificates(host: Host) -> Dict[str, Any]:
    """Subject, issuer, validity and key of each certificate."""
    found: List[Dict[str, Any]] = []
    paths, targets = certificate_files(host), tls_targets(host)
    if (paths or targets) and not host.program("openssl"):
        raise UnreadError("openssl is not installed")
    for path in paths[:_MAXIMUM]:
        with host.noting(path):
            block = _BLOCK.search(host.read_bytes(path, 1 << 18))
            if block:
                found.append({"source": path, **_describe(host, block.group())})
            elif path in (host.parameters.get("certificate_files") or []):
                raise UnreadError(path + " holds no certificate")
    for target in targets:
        with host.noting(target):
            answer = host.run(["openssl", "s_client", "-connect", target], _SECONDS, accepted=(0, 1))
            block = _BLOCK.search(answer.encode())
            if not block:
                raise UnreadError(target + " gave no certificate")
            found.append({"source": target, **_describe(host, block.group())})
    result: Dict[str, Any] = {"certificates": found}
    if len(paths) > _MAXIMUM:
        result["certificates_truncated"] = True
    return result


def certificate_files(host: Host) -> List[str]:
    """The site's own list, and where web servers and certbot keep theirs."""
    wanted = list(host.parameters.get("certificate_files") or [])
    for name in host.folder("/etc/letsencrypt/live"):
        wanted.append(f"/etc/letsencrypt/live/{name}/cert.pem")
    for folder in _FOLDERS:
        wanted += [
            f"{folder}/{name}" for name in host.folder(folder) if name.endswith((".crt", ".pem", ".cer"))
        ]
    return list(
        dict.fromkeys(
            path
            for path in wanted
            if path in (host.parameters.get("certificate_files") or []) or host.exists(path)
        )
    )


def tls_targets(host: Host) -> List[str]:
    """Where to ask: the listening ports that are usual for TLS, and those that the site marks with `tls: true`."""
    marked = {integer(item.get("port")) for item in host.parameters.get("listeners") or [] if item.get("tls")}
    targets: Dict[int, str] = {}
    for entry in listening(host):
        if entry["protocol"] == "tcp" and entry["port"] in _TLS_PORTS | marked:
            address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(entry["address"], entry["address"])  # noqa: S104
            targets.setdefault(
                entry["port"], (f"[{address}]" if ":" in address else address) + f":{entry['port']}"
            )
    return [targets[port] for port in sorted(targets)][:_MAXIMUM]


def _describe(host: Host, block: bytes) -> Dict[str, Any]:
    argv = [
        "openssl",
        "x509",
        "-noout",
        "-subject",
        "-issuer",
        "-startdate",
        "-enddate",
        "-text",
        "-nameopt",
        "RFC2253,-esc_msb",
    ]
    return parse_certificate(host.run(argv, given=block), time.time())


def parse_certificate(text: str, now: float) -> Dict[str, Any]:
    """openssl x509's words; its dates are `Nov 22 08:30:00 2026 GMT`."""
    values = dict(
        line.partition("=")[::2] for line in text.splitlines() if re.match(r"(subject|issuer|not\w+)=", line)
    )
    ends = openssl_time(values.get("notAfter", ""))
    bits = re.search(r"Public-Key: \((\d+) bit", text)
    kind = re.search(r"Public Key Algorithm: (\S+)", text)
    signature = re.search(r"Signature Algorithm: (\S+)", text)
    names = re.search(r"Subject Alternative Name:[^\n]*\n\s*([^\n]+)", text)
    subject, issuer = (values.get(name, "").strip() for name in ("subject", "issuer"))
    return present(
        subject=subject,
        issuer=issuer,
        self_signed=subject == issuer,
        not_before=instant(openssl_time(values.get("notBefore", ""))),
        not_after=instant(ends),
        days_left=round((ends - now) / 86400, 1) if ends is not None else None,
        key_type=kind.group(1) if kind else None,
        key_bits=int(bits.group(1)) if bits else None,
        signature=signature.group(1) if signature else None,
        names=names.group(1).strip() if names else None,
    )


def openssl_time(text: str) -> Optional[float]:
    """Seconds since 1970 of openssl's dates."""
    match = re.match(r"(\w{3}) +(\d+) (\d\d:\d\d:\d\d) (\d{4})", text)
    if not match:
        return None
    month, day, clock, year = match.groups()
    return dated(year, month, day, clock)


PROBES = {"certificates": certificates}
