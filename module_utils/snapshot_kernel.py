"""Probes of the kernel's settings: parameters, modules, the boot loader; and of what the host shares with others."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping

from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_text import assignments, content_lines, without_secrets

_SYSCTLS = """
dev.tty.ldisc_autoload fs.file-max fs.protected_fifos fs.protected_hardlinks fs.protected_regular
fs.protected_symlinks fs.suid_dumpable kernel.core_pattern kernel.dmesg_restrict kernel.kexec_load_disabled
kernel.kptr_restrict kernel.numa_balancing kernel.panic kernel.panic_on_oops kernel.perf_event_paranoid
kernel.randomize_va_space kernel.sched_autogroup_enabled kernel.shmall kernel.shmmax kernel.sysrq
kernel.unprivileged_bpf_disabled kernel.unprivileged_userns_clone kernel.yama.ptrace_scope
net.core.bpf_jit_harden net.core.somaxconn net.ipv4.conf.all.accept_redirects
net.ipv4.conf.all.accept_source_route net.ipv4.conf.all.log_martians net.ipv4.conf.all.rp_filter
net.ipv4.conf.all.secure_redirects net.ipv4.conf.all.send_redirects net.ipv4.conf.default.accept_redirects
net.ipv4.conf.default.accept_source_route net.ipv4.conf.default.log_martians net.ipv4.conf.default.rp_filter
net.ipv4.conf.default.secure_redirects net.ipv4.conf.default.send_redirects net.ipv4.icmp_echo_ignore_broadcasts
net.ipv4.icmp_ignore_bogus_error_responses net.ipv4.ip_forward net.ipv4.ip_local_port_range
net.ipv4.tcp_keepalive_time net.ipv4.tcp_max_syn_backlog net.ipv4.tcp_syncookies net.ipv6.conf.all.accept_ra
net.ipv6.conf.all.accept_redirects net.ipv6.conf.all.accept_source_route net.ipv6.conf.all.disable_ipv6
net.ipv6.conf.all.forwarding net.ipv6.conf.default.accept_ra net.ipv6.conf.default.accept_redirects
net.ipv6.conf.default.accept_source_route vm.dirty_background_bytes vm.dirty_background_ratio vm.dirty_bytes
vm.dirty_ratio vm.max_map_count vm.mmap_min_addr vm.nr_hugepages vm.overcommit_memory vm.overcommit_ratio
vm.swappiness vm.zone_reclaim_mode
"""
_PER_INTERFACE = ("accept_redirects", "accept_source_route", "log_martians", "rp_filter", "send_redirects")
_MODULES = """
cramfs freevxfs hfs hfsplus udf jffs2 squashfs dccp sctp rds tipc usb_storage uas firewire_core bluetooth
"""


def kernel_parameters(host: Host) -> Dict[str, Any]:
    """The kernel's parameters that security and speed depend on, as they are and not as a file wants them."""
    found = {}
    for name in _SYSCTLS.split():
        path = "/proc/sys/" + name.replace(".", "/")
        try:
            found[name] = " ".join(host.read(path, 4096).split())
        except UnreadError as reason:
            if "is not there" not in str(reason):
                host.unread[name] = str(reason)
    return {"values": found, "interfaces": _interfaces(host)}


def _interfaces(host: Host) -> List[Dict[str, str]]:
    """The values of each interface: setting `all` changes none of those that are up."""
    folder = "/proc/sys/net/ipv4/conf"
    found = []
    for name in host.folder(folder)[:100]:
        if name not in ("all", "default", "lo"):
            values = {key: host.value(f"{folder}/{name}/{key}") for key in _PER_INTERFACE}
            found.append({"name": name, **{key: value for key, value in values.items() if value is not None}})
    return found


def kernel_modules(host: Host) -> Dict[str, Any]:
    """Modules that open ways in: loaded now, or kept out by modprobe."""
    loaded = {line.split()[0] for line in (host.value("/proc/modules") or "").splitlines()}
    rules = []
    for folder in ("/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"):
        for name in host.folder(folder):
            if name.endswith(".conf"):
                with host.noting(f"{folder}/{name}"):
                    rules += content_lines(host.read(f"{folder}/{name}"))
    return {"modules": module_states(_MODULES.split(), loaded, rules), "loaded_count": len(loaded)}


def module_states(names: List[str], loaded: Any, rules: List[str]) -> Mapping[str, Dict[str, bool]]:
    """Whether each module is loaded, and whether loading it is refused (`install NAME /bin/false`) or blacklisted."""
    states = {}
    for name in names:
        spelling = name.replace("_", "[-_]")
        states[name] = {
            "loaded": name in loaded,
            "refused": any(
                re.match(rf"install\s+{spelling}\s+(/usr)?/bin/(false|true)\b", rule) for rule in rules
            ),
            "blacklisted": any(re.match(rf"blacklist\s+{spelling}\s*$", rule) for rule in rules),
        }
    return states


def boot(host: Host) -> Dict[str, Any]:
    """Whether the boot loader and the rescue mode ask for a password, and what Ctrl-Alt-Delete does."""
    found: Dict[str, Any] = {}
    for path in (
        "/boot/grub/grub.cfg",
        "/boot/grub2/grub.cfg",
        "/boot/grub2/user.cfg",
        "/etc/grub.d/40_custom",
    ):
        if host.exists(path):
            with host.noting("protected"):
                text = host.read(path, 1 << 20)
                found["protected"] = found.get("protected", False) or bool(
                    re.search(r"(?m)^\s*(password_pbkdf2|GRUB2_PASSWORD=)", text)
                )
    rescue = _rescue(host)
    if rescue:
        found["rescue_asks"] = "sulogin" in rescue
    found["ctrl_alt_delete_masked"] = host.link("/etc/systemd/system/ctrl-alt-del.target") == "/dev/null"
    return found


def _rescue(host: Host) -> str:
    """What the rescue mode starts, with what overrides the distribution's own unit; '' where it has none."""
    unit = next(
        (
            text
            for folder in ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
            for text in [host.value(f"{folder}/rescue.service")]
            if text
        ),
        "",
    )
    own = "/etc/systemd/system/rescue.service.d"
    parts = [host.value(f"{own}/{name}") or "" for name in host.folder(own) if name.endswith(".conf")]
    starts: List[str] = []
    for command in re.findall(r"(?m)^\s*ExecStart=(.*)$", "\n".join([unit, *parts])):
        starts = [*starts, command] if command.strip() else []  # an empty one takes back those before it
    return " ".join(starts)


def shares(host: Host) -> Dict[str, Any]:
    """What this host gives to others: NFS exports, SMB shares, FTP, SNMP. A community's name is never kept."""
    found: Dict[str, Any] = {"nfs": [], "smb": [], "ftp_anonymous": False}
    files = ["/etc/exports", *("/etc/exports.d/" + name for name in host.folder("/etc/exports.d"))]
    for path in files:
        if host.exists(path):
            with host.noting("nfs"):
                found["nfs"] += [without_secrets(line) for line in content_lines(host.read(path))][:100]
    with host.noting("smb"):
        if host.exists("/etc/samba/smb.conf"):
            found["smb"] = parse_smb(host.read("/etc/samba/smb.conf"))
    for name in ("allow", "deny"):  # honoured by programs with libwrap only, and read by every assessor
        text = host.value("/etc/hosts." + name)
        if text is not None:
            found["hosts_" + name] = content_lines(text)[:50]
    for path in ("/etc/vsftpd.conf", "/etc/vsftpd/vsftpd.conf"):
        if host.exists(path):
            with host.noting("ftp_anonymous"):
                settings = {key: value.lower() for key, value in assignments(host.read(path)).items()}
                found["ftp_anonymous"] |= settings.get("anonymous_enable", "no") == "yes"
                found["ftp_tls"] = (
                    settings.get("ssl_enable") == "yes"
                    and settings.get("force_local_logins_ssl", "yes") == "yes"
                )
    if host.exists("/etc/snmp/snmpd.conf"):
        with host.noting("snmp"):
            lines = content_lines(host.read("/etc/snmp/snmpd.conf"))
            communities = [line for line in lines if re.match(r"(?i)(r[ow]community6?|com2sec6?)\s", line)]
            usual = any(re.search(r"\s(public|private)(\s|$)", line) for line in communities)
            found["snmp"] = {"communities": len(communities), "default_community": usual}
    return found


def parse_smb(text: str) -> List[Dict[str, Any]]:
    """The shares of smb.conf and whether a guest may enter."""
    found = []
    for line in content_lines("\n".join(content_lines(text)), ";"):
        section = re.match(r"\[(.+)\]$", line)
        if section:
            found.append({"name": section.group(1), "guest": False, "writable": False})
        elif found:
            key, _equals, value = (part.strip().lower() for part in line.partition("="))
            if key in ("guest ok", "public") and value in ("yes", "true", "1"):
                found[-1]["guest"] = True
            if (key == "read only" and value in ("no", "false", "0")) or (
                key == "writable" and value in ("yes", "true")
            ):
                found[-1]["writable"] = True
    return [share for share in found if share["name"] not in ("global", "homes", "printers", "print$")]


PROBES = {
    "kernel_parameters": kernel_parameters,
    "kernel_modules": kernel_modules,
    "boot": boot,
    "shares": shares,
}
