"""The base trees: Debian for containers and for virtual machines, made once, outside the checkout."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.plan import ACCOUNT, CACHE, REPOSITORY, STATE, stale_bases
from lab.shell import LabError, last_line

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "sudo", "python3"),
    *(
        "libpam-pwquality",
        "cracklib-runtime",
    ),  # the second has the dictionary, without which no password is good
    *("iproute2", "iputils-ping", "procps", "psmisc", "lsof", "curl", "ca-certificates", "openssl", "less"),
    *("python3-apt", "locales", "tzdata", "cron", "logrotate", "rsyslog", "chrony", "auditd", "nftables"),
    *("postgresql", "pgbackrest", "python3-psycopg2", "nginx-light", "ssl-cert"),
)
# A virtual machine has a kernel of its own.
KERNEL_PACKAGES = ("linux-image-cloud-amd64", "initramfs-tools")
DIALYSIS_PACKAGES = REPOSITORY / "lab" / "dialysis" / "packages.txt"

# Before the packages are configured: no PostgreSQL cluster, or every host would share one system identifier.
ESSENTIAL_HOOK = """
mkdir -p "$1/etc/postgresql-common"
cat > "$1/etc/postgresql-common/createcluster.conf" <<'END'
create_main_cluster = false
ssl = on
cluster_name = '%v/%c'
log_line_prefix = '%%m [%%p] %%q%%u@%%d '
add_include_dir = 'conf.d'
END
"""

# Before the kernel is configured, so that its initial file system is made once: with the drivers of the
# lab's disk alone, packed so that it is unpacked fast by a processor that is itself a program.
KERNEL_HOOK = """
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"
printf 'MODULES=list\\nCOMPRESS=gzip\\n' > "$1/etc/initramfs-tools/conf.d/lab"
printf 'virtio_pci\\nvirtio_blk\\next4\\n' > "$1/usr/share/initramfs-tools/modules.d/lab"
"""

CUSTOMIZE_HOOK = f"""
set -e
echo 'zh_CN.UTF-8 UTF-8' > "$1/etc/locale.gen"
chroot "$1" locale-gen >/dev/null
chroot "$1" ln -sf /usr/share/zoneinfo/Asia/Shanghai /etc/localtime
echo Asia/Shanghai > "$1/etc/timezone"
chroot "$1" useradd --create-home --shell /bin/bash --password '*' --comment 'Vendor engineer' {ACCOUNT}
echo '{ACCOUNT} ALL=(ALL:ALL) NOPASSWD: ALL' > "$1/etc/sudoers.d/{ACCOUNT}"
chmod 0440 "$1/etc/sudoers.d/{ACCOUNT}"
chroot "$1" passwd --lock root >/dev/null
# What makes a host unique is made with the host.
rm -f "$1"/etc/ssh/ssh_host_* "$1/var/lib/dbus/machine-id"
: > "$1/etc/machine-id"
# Hosts resolve by /etc/hosts alone; no name server is ever asked.
rm -f "$1/etc/resolv.conf"
: > "$1/etc/resolv.conf"
mkdir -p "$1/var/log/journal"
"""

CONTAINER_LOG_HOOK = """\
# A container cannot read the kernel's log.
sed -i '/imklog/d' "$1/etc/rsyslog.conf"
"""

LOG_HOOK = """\
# Half a year of logs, as MLPS level 3 asks.
sed -i 's/rotate 4$/rotate 27/' "$1/etc/logrotate.d/rsyslog"
"""

CONTAINER_UNITS_HOOK = """\
# The kernel refuses a container's auditd; without a network the apt timers could only fail; the disks are
# not the container's to trim or scrub; no terminal is attached.
chroot "$1" systemctl --quiet mask auditd.service apt-daily.timer apt-daily-upgrade.timer fstrim.timer \\
  audit-rules.service e2scrub_all.timer e2scrub_reap.service console-getty.service getty@tty1.service
"""

MACHINE_UNITS_HOOK = """\
# Without a network the apt timers could only fail; no terminal is attached, and the console is a file.
chroot "$1" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer \\
  getty@tty1.service serial-getty@ttyS0.service
echo 'LABEL=root / ext4 errors=remount-ro 0 1' > "$1/etc/fstab"
"""

UNITS_HOOK = """\
# Enabled again on the hosts whose work they are.
chroot "$1" systemctl --quiet disable nginx.service postgresql.service
chroot "$1" systemctl --quiet enable systemd-networkd.service
"""


def packages(*, virtual: bool = False) -> list[str]:
    """Our packages and those the reference system asks for."""
    extra = list(KERNEL_PACKAGES) if virtual else []
    if DIALYSIS_PACKAGES.is_file():
        lines = DIALYSIS_PACKAGES.read_text().splitlines()
        extra += [line.partition("#")[0].strip() for line in lines]
    return sorted({*PACKAGES, *filter(None, extra)})


def hooks(*, virtual: bool = False) -> tuple[str, str]:
    """What mmdebstrap runs before the packages are configured, and after."""
    if virtual:
        return ESSENTIAL_HOOK + KERNEL_HOOK, CUSTOMIZE_HOOK + LOG_HOOK + MACHINE_UNITS_HOOK + UNITS_HOOK
    return ESSENTIAL_HOOK, CUSTOMIZE_HOOK + CONTAINER_LOG_HOOK + LOG_HOOK + CONTAINER_UNITS_HOOK + UNITS_HOOK


def family(release: str, *, virtual: bool = False) -> str:
    """The trees that take each other's place."""
    return f"{release}.virtual" if virtual else release


def tree_name(release: str, *, virtual: bool = False) -> str:
    """The cache key: another package, hook or release is another tree."""
    recipe = "\n".join([release, *packages(virtual=virtual), *hooks(virtual=virtual)])
    return f"{family(release, virtual=virtual)}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def ensure(release: str, *, virtual: bool = False) -> Path:
    """The base tree of a release, built if it is not there yet."""
    CACHE.mkdir(parents=True, exist_ok=True)
    name, kind = tree_name(release, virtual=virtual), family(release, virtual=virtual)
    tree = CACHE / name
    with locked(CACHE / f"{kind}.lock", f"another base tree of {kind} is being built"):
        if not tree.is_dir():
            build(release, tree, virtual=virtual)
        for old in stale_bases([path.name for path in CACHE.glob("*-*")], used_trees(), name):
            shutil.rmtree(CACHE / old)
    return tree


def build(release: str, tree: Path, *, virtual: bool = False) -> None:
    """Build into a temporary name and rename, so that a tree is either whole or absent."""
    unfinished = tree.with_name(f"unfinished.{family(release, virtual=virtual)}")
    shutil.rmtree(unfinished, ignore_errors=True)
    started = time.monotonic()
    print(f"lab: building the base tree {tree.name} (once, about a minute)", flush=True)
    essential, customize = hooks(virtual=virtual)
    argv = ["mmdebstrap", "--variant=minbase", f"--include={','.join(packages(virtual=virtual))}"]
    argv += [f"--essential-hook={essential}", f"--customize-hook={customize}"]
    argv += [release, str(unfinished)]
    try:
        messages = follow(argv)
    except FileNotFoundError:
        raise LabError("mmdebstrap is missing; run: make setup-lab") from None
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    if messages is not None:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise LabError(f"mmdebstrap could not build {release}: {messages}; does apt-get update work here?")
    unfinished.rename(tree)
    print(f"lab: base tree ready after {time.monotonic() - started:.0f} s", flush=True)


def follow(argv: list[str]) -> str | None:
    """Run mmdebstrap and print its stages; its last error if it fails."""
    errors: list[str] = []
    # With an open standard input mmdebstrap would wait for a sources.list on it.
    with subprocess.Popen(
        argv, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None  # noqa: S101  (Popen was given a pipe)
        for line in process.stdout:
            if line.startswith("I: "):
                print(f"lab:   {line[3:].strip()}", flush=True)
            elif line.startswith(("E: ", "Err:", "W: ")):
                errors.append(line)
    return last_line("".join(errors)) if process.returncode else None


def used_trees() -> list[str]:
    """The trees that existing hosts stand on, running or not, of every lab."""
    return [marker.read_text().strip() for marker in STATE.glob("*/*/base")]


@contextmanager
def locked(path: Path, reason: str) -> Iterator[None]:
    """Hold a lock file; say once why we wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"lab: {reason}; waiting for it", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
