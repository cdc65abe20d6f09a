"""Probes of software: installed packages, updates that wait, whether a restart is due. No network is used."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Optional

from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_text import (
    assignments,
    bounded,
    content_lines,
    instant,
    present,
    version_key,
)

_MAXIMUM = 4000
# What a server should not carry: clear-text remote access, services nobody asked for, tools of an intruder.
_UNWANTED = """
telnetd inetutils-telnetd telnet-server rsh-server rsh-redone-server rlogin-server talk-server talkd ypserv nis
tftp-server tftpd tftpd-hpa atftpd xinetd inetutils-inetd openbsd-inetd vsftpd proftpd proftpd-core pure-ftpd
avahi-daemon cups-daemon rpcbind nmap wireshark tshark tcpdump netcat-traditional nmap-ncat hydra john gcc make
gdb xserver-xorg-core xorg-x11-server-Xorg bluez telnet rsh-client
"""
_APT_SETTINGS = re.compile(
    r"apt::(get::allowunauthenticated|periodic::)|acquire::(allow|check-valid-until|check-date)",
    re.IGNORECASE,
)
# Updates of these take effect only after a restart of the machine.
_CORE = re.compile(
    r"^(kernel|kernel-core|kernel-rt|linux-firmware|glibc|systemd|dbus|dbus-broker|openssl-libs|gnutls)$"
)


def packages(host: Host) -> Dict[str, Any]:
    """What is installed, what is broken or held, and what should not be there."""
    if host.program("dpkg-query"):
        layout = "${Package}\\t${Version}\\t${db:Status-Abbrev}\\n"
        found = parse_dpkg(host.run(["dpkg-query", "-W", "-f", layout], 10.0))
    elif host.program("rpm"):
        layout = "%{NAME}\\t%{VERSION}-%{RELEASE}\\t%{INSTALLTIME}\\n"
        found = parse_rpm(host.run(["rpm", "-qa", "--queryformat", layout], 15.0))
    else:
        raise UnreadError("neither dpkg nor rpm is here")
    installed = found["installed"]
    found["count"] = len(installed)
    found["unwanted"] = sorted(name for name in set(_UNWANTED.split()) & set(installed))
    if len(installed) > _MAXIMUM:
        found["installed"] = dict(sorted(installed.items())[:_MAXIMUM])
        found["installed_truncated"] = True
    return found


def parse_dpkg(text: str) -> Dict[str, Any]:
    """`name TAB version TAB state` lines; a state is wanted, actual, error: `ii ` is well."""
    installed, broken, held = {}, [], []
    for line in text.splitlines():
        name, version, state = [*line.split("\t"), "", ""][:3]
        if state[1:2] not in ("n", "c", ""):
            installed[name] = version
            if state[:1] == "h":
                held.append(name)
            if state[1:2] != "i" or state[2:3] not in (" ", ""):
                broken.append(f"{name} ({state.strip()})")
    return {"manager": "dpkg", "installed": installed, "broken": broken, "held": held}


def parse_rpm(text: str) -> Dict[str, Any]:
    """`name TAB version TAB seconds` lines; keys that rpm lists as packages are none."""
    rows = [line.split("\t") for line in text.splitlines() if line.count("\t") == 2]
    installed: Dict[str, str] = {}
    for name, version, _installed in rows:
        if name != "gpg-pubkey" and version_key(version) > version_key(installed.get(name, "")):
            installed[name] = version
    newest = {name: int(when) for name, _version, when in rows if _CORE.match(name) and when.isdecimal()}
    return {
        "manager": "rpm",
        "installed": installed,
        "broken": [],
        "held": [],
        "core_installed": {name: instant(when) for name, when in newest.items()},
    }


def updates(host: Host) -> Dict[str, Any]:
    """Updates that the host's own lists know of, and how old those lists are."""
    if host.program("apt"):
        return _apt_updates(host)
    for manager in ("dnf", "yum"):
        if host.program(manager):
            return _dnf_updates(host, manager)
    raise UnreadError("neither apt nor dnf is here")


def _apt_updates(host: Host) -> Dict[str, Any]:
    lists = [name for name in host.folder("/var/lib/apt/lists") if name.endswith(("Release", "InRelease"))]
    if not lists:
        raise UnreadError("this host has no package lists (apt-get update has never run here)")
    folders = (
        "/var/lib/apt/lists/partial",
        "/var/lib/apt/lists",
        "/var/lib/apt/periodic/update-success-stamp",
    )
    # `apt list` costs a sixth of `apt-get -s upgrade` and names the suite, hence the security updates, as well.
    argv = ["apt", "list", "--upgradable", *_without_cache(host)]
    pending = parse_apt(host.run(argv, 15.0, limit=1 << 22))
    return {"lists_updated": _newest(host, folders), **_summary(pending)}


def _without_cache(host: Host) -> List[str]:
    """apt rebuilds a stale cache file on the disk; it is told to do so in memory only, for this probe never writes."""
    try:
        cached = host.status("/var/cache/apt/pkgcache.bin").st_mtime
        changed = max(host.status(path).st_mtime for path in ("/var/lib/apt/lists", "/var/lib/dpkg/status"))
    except UnreadError:
        cached, changed = 0.0, 1.0
    return [] if cached >= changed else ["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="]


def parse_apt(text: str) -> List[Dict[str, Any]]:
    """`name/suite,suite version arch [upgradable from: version]` lines."""
    found = []
    for line in text.splitlines():
        match = re.match(r"(\S+?)/(\S+) (\S+) \S+ \[upgradable from: (\S+)\]", line)
        if match:
            name, suites, candidate, current = match.groups()
            found.append(
                {"name": name, "current": current, "candidate": candidate, "security": "security" in suites}
            )
    return found


def package_sources(host: Host) -> Dict[str, Any]:
    """Sources whose packages are taken without a signature."""
    apt = ["/etc/apt/sources.list"]
    apt += ["/etc/apt/sources.list.d/" + name for name in host.folder("/etc/apt/sources.list.d")]
    repositories = ["/etc/yum.repos.d/" + name for name in host.folder("/etc/yum.repos.d")]
    unsigned: List[str] = []
    for path in apt:
        if path.endswith((".list", ".sources")) and host.exists(path):
            with host.noting(path):
                text = "\n".join(content_lines(host.read(path)))
                if re.search(r"trusted\s*[=:]\s*yes", text, re.IGNORECASE):
                    unsigned.append(path)
    for path in repositories:
        with host.noting(path):
            unsigned += parse_unsigned(host.read(path))
    found: Dict[str, Any] = {"unsigned": unsigned}
    if host.exists("/etc/apt"):
        found["apt"] = _apt_settings(host)
    return found


def _apt_settings(host: Host) -> Dict[str, str]:
    """What apt's own files say on signatures and on updates by itself."""
    settings: Dict[str, str] = {}
    names = ["/etc/apt/apt.conf.d/" + name for name in host.folder("/etc/apt/apt.conf.d")]
    for path in [*names, "/etc/apt/apt.conf"]:
        if re.search(r"/[\w-]+(\.conf)?$", path) and host.exists(path):
            with host.noting(path):
                settings.update(parse_apt_settings(host.read(path)))
    return {name: value for name, value in settings.items() if _APT_SETTINGS.match(name)}


def parse_apt_settings(text: str) -> Dict[str, str]:
    """`A::B "c";` and `A { B "c"; };` as {"a::b": "c"}; lists and commands are not wanted and give no harm."""
    text = re.sub(r"(?m)/\*.*?\*/|(?://|#).*$", "", text)
    found, scopes, parts = {}, [], []
    for word in re.findall(r'"[^"]*"|[{};]|[^\s{};"]+', text):
        if word == "{":
            scopes.append("::".join(parts))
            parts = []
        elif word in ("}", ";"):
            if len(parts) > 1:
                found["::".join([*filter(None, scopes), parts[0]]).lower()] = parts[1].strip('"')
            parts = []
            if word == "}" and scopes:
                scopes.pop()
        else:
            parts.append(word)
    return found


def _dnf_updates(host: Host, manager: str) -> Dict[str, Any]:
    listed = host.run([manager, "-q", "-C", "check-update"], 20.0, accepted=(0, 100))
    pending = parse_dnf(listed)
    with host.noting("security_count"):
        secure = parse_updateinfo(host.run([manager, "-q", "-C", "updateinfo", "list", "security"], 20.0))
        for update in pending:
            update["security"] = update["name"] in secure
    caches = ["/var/cache/dnf/" + name for name in host.folder("/var/cache/dnf")] + ["/var/cache/yum"]
    return {"lists_updated": _newest(host, caches), **_summary(pending)}


def parse_dnf(text: str) -> List[Dict[str, Any]]:
    """`name.arch version repository` lines of check-update, up to the part on obsoleted packages."""
    rows = (line.split() for line in text.partition("Obsoleting Packages")[0].splitlines())
    return [
        {"name": row[0].rpartition(".")[0], "candidate": row[1]}
        for row in rows
        if len(row) == 3 and "." in row[0]
    ]


def parse_updateinfo(text: str) -> Dict[str, str]:
    """Package name -> advisory, from `updateinfo list security`."""
    found = {}
    for line in text.splitlines():
        row = line.split()
        match = re.match(r"(.+)-[^-]+-[^-]+$", row[-1]) if len(row) >= 3 else None
        if match:
            found[match.group(1)] = row[0]
    return found


def parse_unsigned(text: str) -> List[str]:
    """The enabled repositories of a .repo file whose packages are taken without a signature."""
    found = []
    for section in re.split(r"(?m)^\[", text)[1:]:
        name, _end, body = section.partition("]")
        values = assignments(body)
        if values.get("gpgcheck", "1").lower() in ("0", "no", "false") and values.get("enabled", "1") != "0":
            found.append(name)
    return found


def _summary(pending: List[Dict[str, Any]]) -> Dict[str, Any]:
    known = all("security" in update for update in pending)
    return {
        **bounded(
            "pending", sorted(pending, key=lambda update: (not update.get("security"), update["name"])), 1000
        ),
        "pending_count": len(pending),
        **present(security_count=sum(update["security"] for update in pending) if known else None),
    }


def _newest(host: Host, paths: Any) -> Optional[str]:
    times = []
    for path in paths:
        try:
            times.append(host.status(path).st_mtime)
        except UnreadError:
            continue
    return instant(max(times)) if times else None


def restart(host: Host) -> Dict[str, Any]:
    """Whether the machine waits for a restart: its own word, and a newer kernel than the one that runs."""
    running = os.uname().release
    reasons = []
    if host.exists("/run/reboot-required"):
        reasons.append("/run/reboot-required")
    kernels = sorted(
        (n for n in host.folder("/lib/modules") if host.exists(f"/lib/modules/{n}/modules.dep")),
        key=version_key,
    )
    newest = kernels[-1] if kernels else None
    if newest and running in kernels and newest != running:
        reasons.append(f"kernel {newest} is installed, {running} runs")
    if newest and running not in kernels and not _contained(host):
        reasons.append(f"the running kernel {running} is no longer installed")
    wanting = content_lines(host.value("/run/reboot-required.pkgs") or "")
    return {
        "required": bool(reasons),
        "reasons": reasons,
        "packages": sorted(set(wanting))[:200],
        "kernel_running": running,
        **present(kernel_installed=newest),
    }


def _contained(host: Host) -> bool:
    """A container runs another machine's kernel."""
    return (
        host.exists("/run/systemd/container")
        or host.exists("/.dockerenv")
        or host.exists("/run/.containerenv")
    )


PROBES = {"packages": packages, "package_sources": package_sources, "updates": updates, "restart": restart}
