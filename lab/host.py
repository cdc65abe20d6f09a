"""One host: its disk (an overlay on the base tree), its files, its systemd-nspawn process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import uuid
from pathlib import Path

from lab import cgroup
from lab.plan import ACCOUNT, CACHE, HOSTS, REPOSITORY, Lab, hosts_file
from lab.shell import LabError, run, wait_until

FILES = REPOSITORY / "lab" / "files"
ENABLED = {"database": ["postgresql.service"], "gateway": ["nginx.service"]}
ENABLED_EVERYWHERE = ["nftables.service"]

# No gateway: nothing outside can be reached, not even by mistake. No router advertisements: networkd
# would wait twelve seconds for one before it called the network configured.
NETWORK = """\
[Match]
Name={device}

[Network]
Address={address}
IPv6AcceptRA=no
"""

# Archiving can only be switched on by a restart: it is on from the start, and throws the WAL away until
# lab/provision_backup.yml has given it somewhere to go.
POSTGRESQL = """\
listen_addresses = '*'
lc_messages = 'C.UTF-8'
archive_mode = on
archive_command = '/bin/true'
"""

# nspawn ends with 133 when the host reboots: start it again, as a computer would start again.
SUPERVISOR = 'until "$@"; do [ $? -eq 133 ] || exit; done'


def create(lab: Lab, host: str, base: Path) -> None:
    """Make the disk of a new host."""
    folder = lab.folder(host)
    for part in ("upper", "work", "root"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "base").write_text(base.name + "\n")
    mount(lab, host)
    root = lab.root(host)
    virtual = HOSTS[host].virtual
    for layer in ("common", *([] if virtual else ["container"]), HOSTS[host].group):
        copy_files(FILES / layer, root)
    (root / "etc/hostname").write_text(f"{host}\n")
    (root / "etc/hosts").write_text(hosts_file(lab))
    (root / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
    network = root / "etc/systemd/network/10-host0.network"
    address = f"{lab.address(host)}/{lab.subnet.prefixlen}"
    network.write_text(NETWORK.format(address=address, device="en*" if virtual else "host0"))
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"root@{host}"]
    run([*keygen, "-f", root / "etc/ssh/ssh_host_ed25519_key"])
    for unit in [*ENABLED_EVERYWHERE, *ENABLED.get(HOSTS[host].group, [])]:
        run(["systemctl", "--quiet", f"--root={root}", "enable", unit])
    if HOSTS[host].group == "database":
        create_cluster(root)


def copy_files(source: Path, root: Path) -> None:
    """Copy a layer of files with plain modes, whatever the umask of the checkout was."""
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        target = root / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        target.chmod(0o644)


def create_cluster(root: Path) -> None:
    """Make the host's own PostgreSQL cluster: with checksums and a collation that upgrades must mind."""
    version = sorted(path.name for path in (root / "usr/lib/postgresql").iterdir())[-1]
    argv: list[str | Path] = ["chroot", root, "pg_createcluster", version, "main", "--locale=zh_CN.UTF-8"]
    run([*argv, "--", "--data-checksums"])
    settings = root / f"etc/postgresql/{version}/main/conf.d/10-hospital.conf"
    settings.write_text(POSTGRESQL)
    settings.chmod(0o644)


def authorize(lab: Lab, host: str) -> str:
    """Let the lab's key in, and return the host's public key."""
    mount(lab, host)
    root = lab.root(host)
    folder = root / "home" / ACCOUNT / ".ssh"
    owner = folder.parent.stat()
    folder.mkdir(mode=0o700, exist_ok=True)
    keys, wanted = folder / "authorized_keys", lab.private_key.with_suffix(".pub").read_text()
    if not keys.exists() or keys.read_text() != wanted:  # a running host may be asked for it at this moment
        keys.write_text(wanted)
        keys.chmod(0o600)
        for path in (folder, keys):
            os.chown(path, owner.st_uid, owner.st_gid)
    kind, key, *_ = (root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()
    return f"{kind} {key}"


def mount(lab: Lab, host: str) -> None:
    """Mount the overlay, unless it is mounted."""
    folder, root = lab.folder(host), lab.root(host)
    if root.is_mount():
        return
    lower = CACHE / (folder / "base").read_text().strip()
    if not lower.is_dir():
        raise LabError(f"{host}: its base tree {lower} is gone; make the host again: python -m lab up {host}")
    options = f"lowerdir={lower},upperdir={folder / 'upper'},workdir={folder / 'work'}"
    run(["mount", "-t", "overlay", lab.machine(host), "-o", options, root])


def boot(lab: Lab, host: str) -> None:
    """Start the host; it goes on without us."""
    mount(lab, host)
    drop_link(lab, host)
    argv = [
        *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot"),
        *(machine_option(lab, host), f"--hostname={host}", f"--directory={lab.root(host)}"),
        *(f"--network-bridge={lab.bridge}", "--resolv-conf=off", "--timezone=off"),
        # What a Debian server has; D-Bus and PostgreSQL ask for more than a small session allows.
        "--rlimit=NOFILE=1024:524288",
    ]
    supervised = ["sh", "-c", SUPERVISOR, lab.machine(host), *cgroup.inside(lab.scope(host), argv)]
    with (lab.folder(host) / "console.log").open("ab") as console:
        # setsid forks: the host is not our child, and outlives us without leaving a zombie.
        subprocess.run(
            ["setsid", "--fork", *supervised],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            cwd="/",
            check=True,
        )
    # A process has no command line yet while it executes its program: nobody could tell that it is ours.
    wait_until(lambda: alive(lab, host), 2, interval=0.02)


def drop_link(lab: Lab, host: str) -> None:
    """Remove the host's network link: a power cut leaves it for a moment, and its name would be taken."""
    run(["ip", "link", "delete", "dev", f"vb-{lab.machine(host)}"], check=False)


def machine_option(lab: Lab, host: str) -> str:
    """The word of a command line that tells this host's processes from all others."""
    return f"--machine={lab.machine(host)}"


def alive(lab: Lab, host: str) -> bool:
    """Whether the host runs, or its supervisor is about to start it again after a reboot."""
    programs = ("setsid", "sh", "systemd-run", "systemd-nspawn")
    # One that just executes its program has no command line for a moment: a second look tells.
    return any(processes(machine_option(lab, host), programs) for _look in range(2))


def pid(lab: Lab, host: str) -> int | None:
    """The host's systemd-nspawn by its command line: a kept pid could be another process by now."""
    # nspawn's helpers carry the same command line for a moment; the oldest is the parent.
    return min(processes(machine_option(lab, host), ("systemd-nspawn",)), default=None)


def processes(word: str, programs: tuple[str, ...]) -> list[int]:
    """The processes of one of these programs whose command line holds the word that names a machine."""
    short = {program[:15] for program in programs}  # Linux keeps no more
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The short name first: a command line is slow to read while its process is busy.
            if (entry / "comm").read_text().rstrip("\n") not in short:
                continue
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if Path(words[0]).name in programs and word in words:
            found.append(int(entry.name))
    return found


def init_pid(lab: Lab, host: str) -> int | None:
    """The host's own process 1, as this computer numbers it."""
    for member in cgroup.members(lab.scope(host)):
        try:
            status = Path(f"/proc/{member}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile, so it is not the one
            continue
        numbers = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
        if len(numbers) > 1 and numbers[-1] == "1":
            return member
    return None


def stop(lab: Lab, host: str, seconds: float = 30) -> bool:
    """An orderly power-off; a host that does not follow loses its power. True if it followed."""
    nspawn = pid(lab, host)
    orderly = True
    if nspawn is not None:
        send(nspawn, signal.SIGTERM)
        orderly = wait_until(lambda: pid(lab, host) is None, seconds)
    if not orderly or cgroup.members(lab.scope(host)):
        cut_power(lab, host)
    return orderly


def cut_power(lab: Lab, host: str) -> None:
    """A power failure: everything of the host is gone at once, only the disk stays."""
    nspawn = pid(lab, host)
    if nspawn is not None:
        send(nspawn, signal.SIGKILL)

    def gone() -> bool:
        # An init that lost its nspawn (a leftover of a dead run) is known by its control group.
        left = cgroup.members(lab.scope(host))
        for member in left:
            send(member, signal.SIGKILL)
        return not left and pid(lab, host) is None

    if not wait_until(gone, 20):
        left = ", ".join(map(str, cgroup.members(lab.scope(host))))
        raise LabError(f"{host}: processes {left} of {lab.scope(host)} do not end; look at them with ps")


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process that may be gone by now."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def destroy(lab: Lab, host: str) -> None:
    """Remove a host that does not run: mounts inside out, control group, disk."""
    folder = lab.folder(host)
    for target in sorted(mounts_under(folder), key=len, reverse=True):
        run(["umount", target])
    drop_link(lab, host)
    cgroup.remove(lab.scope(host))
    if mounts_under(folder):
        raise LabError(f"{folder} still holds mounts; see: findmnt -R {folder}")
    if folder.exists():
        shutil.rmtree(folder)


def mounts_under(folder: Path) -> list[str]:
    """The mount points in a folder."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split(" ")[1] for line in lines]
    return [point for point in points if Path(point).is_relative_to(folder)]
