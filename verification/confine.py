"""The sandbox where bubblewrap cannot run: a launcher that confines itself with Landlock, then runs a command.

Run as a script by `sandbox.py`: ``confine.py --read DIR … --write DIR … --env NAME=VALUE … -- COMMAND``. It leaves the
network behind where it may, denies every write outside the ``--write`` folders, and, as the subreaper of all it starts,
kills what is left when the command ends. A system call filter denies the command sockets (Landlock alone would leave
UDP and a local daemon's socket), signals to others, and looking into processes. Exits 125 if a protection is missing.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import struct
import sys
from types import FrameType
from typing import TextIO

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER = 38, 36
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
FILE_RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}
TCP_BIND_CONNECT = 3
DENIED = {
    # socket, socketpair, io_uring_setup; kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_open,
    # pidfd_send_signal; ptrace, process_vm_readv, process_vm_writev, pidfd_getfd; unshare, setns, mount, bpf,
    # perf_event_open, userfaultfd, keyctl, add_key, request_key
    "x86_64": (0xC000003E, (41, 53, 425, 62, 200, 234, 129, 297, 434, 424, 101, 310, 311, 438,
                            272, 308, 165, 321, 298, 323, 250, 248, 249)),
    "aarch64": (0xC00000B7, (198, 199, 425, 129, 130, 131, 138, 240, 434, 424, 117, 270, 271, 438,
                             97, 268, 40, 280, 241, 282, 219, 217, 218)),
}  # fmt: skip
"""By machine: the kernel's name of its system calls, and those that the command may not make."""

libc = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    for flag in ("--read", "--write", "--env"):
        parser.add_argument(flag, action="append", default=[])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    if os.uname().machine not in DENIED:
        refuse(f"no system call filter for {os.uname().machine}")
    isolated = leave_network()
    environment = dict(pair.split("=", 1) for pair in given.env)
    with open(f"/proc/self/task/{os.getpid()}/children") as children:  # /proc is closed to us afterwards
        restrict_files(given.read, given.write, network=not isolated)
        return supervise(given.command[1:] if given.command[:1] == ["--"] else given.command, environment, children)


def leave_network() -> bool:
    """Enter a network namespace with no interfaces; true if that worked."""
    return any(libc.unshare(flags) == 0 for flags in (CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET))


def restrict_files(readable: list[str], writable: list[str], network: bool) -> None:
    """Deny all but reading `readable` and using `writable`; with `network`, TCP as well (needs ABI 4)."""
    abi = libc.syscall(CREATE_RULESET, None, 0, 1)
    if abi < 1 or (network and abi < 4):
        refuse("Landlock is not available" if abi < 1 else "no private network and Landlock is too old to deny TCP")
    rights = FILE_RIGHTS_BY_ABI[min(abi, 3)]
    attributes = struct.pack("QQ", rights, TCP_BIND_CONNECT if network else 0)[: 16 if abi >= 4 else 8]
    ruleset = libc.syscall(CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        refuse("Landlock refuses a ruleset")
    for folder in readable:
        allow(ruleset, folder, EXECUTE | READ_FILE | READ_DIR)
    for folder in writable:
        allow(ruleset, folder, rights)
    for device in ("/dev/null", "/dev/zero", "/dev/urandom"):
        allow(ruleset, device, READ_FILE | WRITE_FILE)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.syscall(RESTRICT_SELF, ruleset, 0) != 0:
        refuse("Landlock cannot restrict this process")
    os.close(ruleset)


def allow(ruleset: int, path: str, rights: int) -> None:
    if not os.path.exists(path):
        return
    if not os.path.isdir(path):
        rights &= EXECUTE | WRITE_FILE | READ_FILE
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    rule = struct.pack("<Qi", rights, handle)
    if libc.syscall(ADD_RULE, ruleset, 1, rule, 0) != 0:
        refuse(f"Landlock refuses a rule for {path}")
    os.close(handle)


def supervise(command: list[str], environment: dict[str, str], children: TextIO) -> int:
    """Run `command`; when it ends, or on SIGTERM, kill everything it left behind. `children` lists our own."""
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = os.fork()
    if child == 0:
        deny_calls()
        try:
            os.execvpe(command[0], command, environment)
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", flush=True)
            os._exit(127)

    def stop(number: int, frame: FrameType | None) -> None:
        reap(children)
        os._exit(124)

    signal.signal(signal.SIGTERM, stop)
    status = os.waitpid(child, 0)[1]
    reap(children)
    return os.waitstatus_to_exitcode(status) & 0xFF


def deny_calls() -> None:
    """From here on the calls of DENIED fail with EPERM; for programs of another architecture all do."""
    architecture, calls = DENIED[os.uname().machine]
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    allow_call, deny_call = 0x7FFF0000, 0x00050000 | 1
    program = [(load, 0, 0, 4), (equal, 1, 0, architecture), (give, 0, 0, deny_call), (load, 0, 0, 0)]
    program += [(at_least, len(calls) + 1, 0, 0x40000000)]  # the x32 names of the same calls
    program += [(equal, len(calls) - index, 0, call) for index, call in enumerate(calls)]
    program += [(give, 0, 0, allow_call), (give, 0, 0, deny_call)]
    words = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *each) for each in program))
    filters = struct.pack("@HP", len(program), ctypes.addressof(words))
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filters, 0, 0) != 0:
        refuse("the system calls cannot be filtered")


def reap(children: TextIO) -> None:
    """Kill and collect children until there are none; grandchildren come to us as their parents die."""
    while True:
        children.seek(0)
        for pid in children.read().split():
            os.kill(int(pid), signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def refuse(why: str) -> None:
    print(f"confine: {why}", flush=True)
    os._exit(125)


if __name__ == "__main__":
    sys.exit(main())
