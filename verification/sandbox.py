"""Runs a tool on generated text: no network, no files but the scratch folder's, bounded time, memory and output.

Bubblewrap gives a private view of the file system and private process and network spaces. Where it cannot run,
`confine.py` takes Landlock and rlimits instead. `protection()` says which is in force; without either, `run` refuses.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hwlib.errors import InputError

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
_CONFINE = Path(__file__).with_name("confine.py")
_POLL_S = 0.2


@dataclass(frozen=True)
class Limits:
    """Bounds on a run, all of its processes together except file size (each file)."""

    seconds: float = 60.0
    memory_bytes: int = 4 << 30
    file_bytes: int = 1 << 30
    processes: int = 64
    output_bytes: int = 400_000


@dataclass(frozen=True)
class Completed:
    """How a run ended. `output` is stdout and stderr together, cut at the limit; `stopped` names the limit that hit."""

    returncode: int
    output: str
    seconds: float
    stopped: str = ""

    @property
    def ok(self) -> bool:
        return self.returncode == 0 and not self.stopped


@dataclass(frozen=True)
class Protection:
    """Which mechanism is in force, and what it does not cover."""

    name: str
    covers: str
    gaps: str


BUBBLEWRAP = Protection(
    "bubblewrap", "private file system view, no network, private processes, cleared environment, limits", ""
)
LANDLOCK = Protection(
    "landlock",
    "writes only to the scratch folder, reads only of system and tool folders, no network, cleared environment, limits",
    "processes of the same user can be seen",
)


@lru_cache
def protection() -> Protection:
    """The strongest mechanism that works here; InputError if none does, or nothing sets limits."""
    if shutil.which("prlimit") is None:
        raise InputError("prlimit is not installed", "sandbox", "apt-get install util-linux; see 'rtloom doctor'")
    if os.environ.get("RTLOOM_SANDBOX") != "landlock" and _works(_bubblewrap_words(Path("/tmp"), (), {})):
        return BUBBLEWRAP
    with tempfile.TemporaryDirectory() as folder:
        if _works(_confine_words(Path(folder), (), {}, Limits())):
            return LANDLOCK
    raise InputError(
        "no sandbox works here: neither bubblewrap nor landlock with a private network",
        "sandbox",
        "apt-get install bubblewrap, and allow user namespaces",
    )


def run(
    command: Sequence[str],
    scratch: Path,
    *,
    readable: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> Completed:
    """Run `command` in `scratch`, the only folder it can write, with `readable` folders besides the system's.

    The environment is cleared but for PATH, HOME, TMPDIR, LANG and `env`. Every process it started is dead when
    this returns. Raises InputError if no sandbox works here.
    """
    bounds = limits or Limits()
    return _supervise(confined(command, scratch, readable=readable, env=env, limits=bounds), scratch, bounds)


def confined(
    command: Sequence[str],
    scratch: Path,
    *,
    readable: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> list[str]:
    """The words that start `command` as `run` would; whoever starts them keeps the time limit and kills the group."""
    bounds = limits or Limits()
    scratch = scratch.resolve()
    given = dict(env or {})
    if protection() is BUBBLEWRAP:
        words = [*_limit_words(bounds), *_bubblewrap_words(scratch, readable, given)]
    else:
        words = [*_limit_words(bounds), *_confine_words(scratch, readable, given, bounds)]
    return [*words, *command]


def _limit_words(limits: Limits) -> list[str]:
    """CPU time is per process: a multithreaded one may use more than wall time."""
    sizes = [f"--data={limits.memory_bytes}", f"--fsize={limits.file_bytes}", "--core=0"]
    return ["prlimit", *sizes, f"--cpu={int(limits.seconds * 4) + 1}", "--"]


def _environment(scratch: Path, given: Mapping[str, str]) -> dict[str, str]:
    base = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(scratch), "TMPDIR": str(scratch), "LANG": "C.UTF-8"}
    return base | dict(given)


def _tool_folders() -> list[Path]:
    """Where this Python and its packages are: simulators embed it."""
    folders = [Path(sys.prefix), Path(sys.base_prefix)]
    return [f.resolve() for f in folders if not str(f).startswith("/usr")]


def _bubblewrap_words(scratch: Path, readable: Sequence[Path], given: Mapping[str, str]) -> list[str]:
    words = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), name]
        elif path.exists():
            words += ["--ro-bind", name, name]
    words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for folder in [*_tool_folders(), *(p.resolve() for p in readable)]:
        words += ["--ro-bind", str(folder), str(folder)]
    words += ["--bind", str(scratch), str(scratch), "--chdir", str(scratch)]
    for name, value in _environment(scratch, given).items():
        words += ["--setenv", name, value]
    return [*words, "--"]


def _confine_words(scratch: Path, readable: Sequence[Path], given: Mapping[str, str], limits: Limits) -> list[str]:
    words = [sys.executable, "-I", str(_CONFINE), "--write", str(scratch)]
    for folder in [*(Path(p) for p in SYSTEM), *_tool_folders(), *(p.resolve() for p in readable)]:
        words += ["--read", str(folder)]
    for name, value in _environment(scratch, given).items():
        words += ["--env", f"{name}={value}"]
    return [*words, "--"]


def _works(words: list[str]) -> bool:
    try:
        return subprocess.run([*words, "true"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _supervise(words: list[str], scratch: Path, limits: Limits) -> Completed:
    """Start, read output, watch time, memory and processes; leave nothing running."""
    begin = time.monotonic()
    process = subprocess.Popen(
        words,
        cwd=scratch,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, stopped = _watch(process, limits, begin)
    finally:
        _kill(process)
    return Completed(process.returncode, output.decode(errors="replace"), time.monotonic() - begin, stopped)


def _watch(process: subprocess.Popen[bytes], limits: Limits, begin: float) -> tuple[bytes, str]:
    assert process.stdout is not None
    output = bytearray()
    os.set_blocking(process.stdout.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        checked = begin
        while True:
            if selector.select(_POLL_S):
                data = process.stdout.read(1 << 16)
                if data == b"":
                    return bytes(output), _await_exit(process, limits, begin)
                output += (data or b"")[: limits.output_bytes - len(output)]
            now = time.monotonic()
            if now - begin > limits.seconds:
                return bytes(output), f"time limit of {limits.seconds:g} s"
            if now - checked > _POLL_S:
                checked = now
                over = _over(process.pid, limits)
                if over or process.poll() is not None:
                    return bytes(output) + _left(process, limits.output_bytes - len(output)), over


def _left(process: subprocess.Popen[bytes], room: int) -> bytes:
    """What an ended process wrote that nobody has read yet; the pipe may be held open by a child of it."""
    assert process.stdout is not None
    data = bytearray()
    while len(data) < room and (part := process.stdout.read(1 << 16)):
        data += part
    return bytes(data[:room])


def _await_exit(process: subprocess.Popen[bytes], limits: Limits, begin: float) -> str:
    """A process may close its output and go on: its limits still hold."""
    while time.monotonic() - begin < limits.seconds:
        try:
            process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            over = _over(process.pid, limits)
            if over:
                return over
        else:
            return ""
    return f"time limit of {limits.seconds:g} s"


def _over(root: int, limits: Limits) -> str:
    """Which bound the process tree under `root` exceeds, or nothing."""
    resident = [pages for _, pages in _tree(root)]
    if len(resident) > limits.processes:
        return f"limit of {limits.processes} processes"
    if sum(resident) * os.sysconf("SC_PAGE_SIZE") > limits.memory_bytes:
        return f"memory limit of {limits.memory_bytes >> 20} MiB"
    return ""


def _tree(root: int) -> list[tuple[int, int]]:
    """(process id, resident pages) of `root` and its descendants."""
    parents: dict[int, list[tuple[int, int]]] = {}
    for pid, parent, pages in _processes():
        parents.setdefault(parent, []).append((pid, pages))
    found, pending = [], [(root, 0)]
    while pending:
        current = pending.pop()
        found.append(current)
        pending += parents.get(current[0], [])
    return found


def _processes() -> Iterator[tuple[int, int, int]]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            yield int(name), int(fields[1]), int(fields[21])


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole tree. Bubblewrap's process space dies with it; confine.py reaps its own on SIGTERM."""
    if protection.cache_info().currsize and protection() is LANDLOCK and process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
