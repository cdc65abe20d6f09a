"""One virtual machine: a host with a kernel of its own, under QEMU. The same functions as host.py.

Its disk is made like a container's, as files on an overlay, and then poured into an image: nothing has
to be booted or mounted to give the host its name, address and keys.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

from lab import host, network
from lab.plan import CACHE, Lab
from lab.shell import LabError, run, wait_until

PROGRAM = "qemu-system-x86_64"
DISK_SIZE = "3G"
MEMORY_MB = 1024
PROCESSORS = 2
# The kernel says only what is wrong: every line of its console costs the emulator time. What guards a real processor
# against its own faults makes an emulated one three times slower, above all in calls of the kernel.
KERNEL_LINE = "root=LABEL=root rw console=ttyS0 quiet mitigations=off init_on_alloc=0"


def create(lab: Lab, name: str, base: Path) -> None:
    """Make the disk of a new host."""
    folder = lab.folder(name)
    host.create(lab, name, base)
    # The host's key is kept outside: a disk that runs is not ours to read.
    (folder / "host_key.pub").write_text(host.authorize(lab, name) + "\n")
    # Under another name first, so that a disk is either whole or absent; and not longer than we live, or the
    # next run would find the overlay busy.
    unfinished = folder / "unfinished.raw"
    mkfs = ["setpriv", "--pdeathsig", "KILL", "mkfs.ext4"]
    run([*mkfs, "-q", "-F", "-L", "root", "-d", lab.root(name), unfinished, DISK_SIZE])
    run(["umount", lab.root(name)])
    for part in ("root", "upper", "work"):
        shutil.rmtree(folder / part)
    unfinished.rename(disk(lab, name))


def disk(lab: Lab, name: str) -> Path:
    """The image of the host's disk: raw and sparse."""
    return lab.folder(name) / "disk.raw"


def authorize(lab: Lab, name: str) -> str:
    """The host's public key. The lab's key was let in when the disk was made."""
    kept = lab.folder(name) / "host_key.pub"
    if not kept.exists():
        raise LabError(f"{name} was never made whole; remove it: python -m lab down {name}")
    return kept.read_text().strip()


def command(lab: Lab, name: str) -> list[str]:
    """The command line of the host's QEMU."""
    folder = lab.folder(name)
    tree = CACHE / (folder / "base").read_text().strip()
    return [
        *(PROGRAM, "-name", guest_option(lab, name), "-daemonize", "-nodefaults", "-no-user-config"),
        # Always by software: a KVM inside of another virtual machine may be there and not work. And an old
        # processor: the emulator knows it well, and the kernel finds nothing on it that is there by half.
        *("-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "Nehalem"),
        *("-smp", str(PROCESSORS), "-m", str(MEMORY_MB), "-display", "none"),
        *("-kernel", str(boot_file(tree, "vmlinuz")), "-initrd", str(boot_file(tree, "initrd.img"))),
        *("-append", KERNEL_LINE),
        # `unsafe` passes no flush on to this computer's disk. What the host has written is ours even when
        # its QEMU is killed, so a power failure is as real as without; a crash of this computer ends the lab.
        *("-drive", f"id=disk,if=none,file={disk(lab, name)},format=raw,cache=unsafe,discard=unmap"),
        *("-device", "virtio-blk-pci,drive=disk"),
        *("-netdev", f"tap,id=net,ifname={lab.tap(name)},script=no,downscript=no"),
        *("-device", f"virtio-net-pci,netdev=net,mac={lab.mac(name)},romfile="),
        *("-device", "virtio-rng-pci"),
        *(
            "-chardev",
            f"file,id=console,path={folder / 'console.log'},append=on",
            "-serial",
            "chardev:console",
        ),
        *("-qmp", f"unix:{folder / 'qmp'},server=on,wait=off"),
    ]


def boot_file(tree: Path, kind: str) -> Path:
    """The newest kernel, or its initial file system, of a base tree."""
    found = sorted((tree / "boot").glob(f"{kind}-*"))
    if not found:
        raise LabError(f"{tree} holds no {kind}; is the base tree gone? python -m lab down, then up")
    return found[-1]


def boot(lab: Lab, name: str) -> None:
    """Start the host; it goes on without us."""
    if not disk(lab, name).exists():
        raise LabError(f"{name} has no disk; make it again: python -m lab up {name}")
    network.drop_tap(lab, name)
    network.make_tap(lab, name)
    run(command(lab, name), cwd="/")


def guest_option(lab: Lab, name: str) -> str:
    """The word of a command line that tells this host's QEMU from all others."""
    return f"guest={lab.machine(name)}"


def pid(lab: Lab, name: str) -> int | None:
    """The host's QEMU by its command line: a kept pid could be another process by now."""
    return min(host.processes(guest_option(lab, name), (PROGRAM,)), default=None)


def alive(lab: Lab, name: str) -> bool:
    """Whether the host runs; a reboot happens inside of its QEMU."""
    return pid(lab, name) is not None


def stop(lab: Lab, name: str, seconds: float = 60) -> bool:
    """An orderly power-off; a host that does not follow loses its power. True if it followed."""
    number = pid(lab, name)
    if number is None:
        return True
    presses = 6
    for _ in range(presses):
        press_power_button(lab, name)  # again and again: a host that still boots does not feel it
        if wait_until(lambda: ended(number), seconds / presses):
            return True
    cut_power(lab, name)
    return False


def press_power_button(lab: Lab, name: str) -> None:
    """Ask QEMU to press the host's power button; a QEMU that does not listen is none the wiser."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(lab.folder(name) / "qmp"))
            with connection.makefile("rw") as line:
                line.readline()  # the greeting
                for word in ("qmp_capabilities", "system_powerdown"):
                    ask(line, word)
    except OSError:
        return


def ask(line: Any, word: str) -> None:
    """Give one command to QEMU and read up to its answer; events come in between."""
    line.write(json.dumps({"execute": word}) + "\n")
    line.flush()
    for answer in line:
        if {"return", "error"} & set(json.loads(answer)):
            return


def cut_power(lab: Lab, name: str) -> None:
    """A power failure: the host is gone at once, only the disk stays."""
    while (number := pid(lab, name)) is not None:
        host.send(number, signal.SIGKILL)
        if not wait_until(lambda done=number: ended(done), 20):
            raise LabError(f"{name}: process {number} does not end; look at it with ps")


def ended(number: int) -> bool:
    """Whether no thread of a process is left: until then it holds the disk, though its name is gone."""
    try:
        threads = list(Path(f"/proc/{number}/task").iterdir())
    except OSError:
        return True
    return not any(runs(thread) for thread in threads)


def runs(thread: Path) -> bool:
    """Whether a thread has not ended; one that nobody has taken notice of yet has."""
    try:
        state = (thread / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def destroy(lab: Lab, name: str) -> None:
    """Remove a host that does not run: its network device, what a broken creation left mounted, its disk."""
    network.drop_tap(lab, name)
    host.destroy(lab, name)
