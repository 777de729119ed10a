"""Runs a tool on generated text: no network, no files but the scratch folder's, bounded time, memory and output.

Bubblewrap gives a private view of the file system and private process and network spaces. Where it cannot run,
`confine.py` takes Landlock and rlimits instead. `protection()` says which is in force; without either, `run` refuses.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hwlib.errors import InputError

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
_CONFINE = Path(__file__).with_name("confine.py")
_CLEARED = ("env", "-i", f"PATH={os.environ.get('PATH', os.defpath)}")
"""Bubblewrap's own first process can be looked at from within: it must not hold our environment either."""
_POLL_S = 0.2
_GONE_S = 5.0
"""How long the kernel may take to end a process space."""
_SCAN_S = 1.0
"""How often the scratch folder is measured."""
_FLOOD = 50
"""A run that prints so many times what is kept of its output is stopped."""
_DEEPEST = 100
"""Folders within folders that a scratch folder may have."""
_MOST, _IDLE, _STARVED = 0.9, 0.05, 4.0
"""A late run is stopped that used so much of its seconds, so little of its time (it waits), or took so long."""
_AWAY_S, _AWAKE = 5.0, 0.01
"""A watch that did not look for so long, and used less than that share of it, was stopped itself, by job control say:
that is no time of the run."""
_TURN = threading.BoundedSemaphore((os.cpu_count() or 1) + 1)
"""Runs at once, whoever asks for them: as many as cores, and one that reads or starts meanwhile."""


@dataclass(frozen=True)
class Limits:
    """Bounds on a run, all of its processes together except file size (each file).

    scratch_bytes and files bound what lies in the scratch folder; output_bytes is what is kept of stdout and stderr.
    seconds are of the clock, but a run that had to share the processor goes on until it has used most of them, or has
    taken _STARVED times as long: what a verdict is must not depend on what else the machine does.
    """

    seconds: float = 60.0
    memory_bytes: int = 4 << 30
    file_bytes: int = 1 << 30
    processes: int = 64
    output_bytes: int = 400_000
    scratch_bytes: int = 4 << 30
    files: int = 20_000


@dataclass(frozen=True)
class Completed:
    """How a run ended. `output` is stdout and stderr together, cut at the limit; `stopped` names the limit that hit.
    `peak_bytes`: the most memory its processes were seen to hold together."""

    returncode: int
    output: str
    seconds: float
    stopped: str = ""
    peak_bytes: int = 0

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
    "writes only to the scratch folder, reads only of system and tool folders, no sockets, no signals to other "
    "processes, cleared environment, limits",
    "without bubblewrap, names of files outside can be probed and a process may outlive a killed rtloom",
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

    The environment is cleared but for PATH, HOME, TMPDIR, LANG and `env`. When this returns, every process it started
    is dead and the scratch folder has only files and folders: links and pipes are gone. Raises InputError if no sandbox
    works here.
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
    return [*_CLEARED, *words, *command]


def _limit_words(limits: Limits) -> list[str]:
    """CPU time is per process: a multithreaded one may use more than wall time. One process' own data stays a little
    below what all may hold, as code and shared pages come on top."""
    sizes = [f"--data={limits.memory_bytes * 15 // 16}", f"--fsize={limits.file_bytes}", "--core=0"]
    return ["prlimit", *sizes, f"--cpu={int(limits.seconds * 4) + 1}", "--"]


def _environment(scratch: Path, given: Mapping[str, str]) -> dict[str, str]:
    base = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(scratch), "TMPDIR": str(scratch), "LANG": "C.UTF-8"}
    return base | dict(given)


def _tool_folders() -> list[Path]:
    """Where this Python and its packages are: simulators embed it."""
    folders = [Path(sys.prefix), Path(sys.base_prefix)]
    return [f.resolve() for f in folders if not str(f).startswith("/usr")]


def _bubblewrap_words(scratch: Path, readable: Sequence[Path], given: Mapping[str, str]) -> list[str]:
    words = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), name]
        elif path.exists():
            words += ["--ro-bind", name, name]
    # To root outside, /proc/sys would be writable; files in a tmpfs would count as nobody's memory.
    words += ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"]
    words += ["--dev", "/dev", "--remount-ro", "/dev", "--tmpfs", "/tmp"]
    for folder in [*_tool_folders(), *(p.resolve() for p in readable)]:
        words += ["--ro-bind", str(folder), str(folder)]
    words += ["--bind", str(scratch), str(scratch), "--chdir", str(scratch)]
    words += ["--remount-ro", "/tmp"] if scratch != Path("/tmp") else []
    words += ["--remount-ro", "/"]
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
    """Start when it is this run's turn, read output, watch time, memory, processes and files; leave nothing running."""
    with _TURN:
        return _supervised(words, scratch, limits)


def _supervised(words: list[str], scratch: Path, limits: Limits) -> Completed:
    told, tell = os.pipe()
    if "bwrap" in words:
        words = [*words[: words.index("bwrap") + 1], "--info-fd", str(tell), *words[words.index("bwrap") + 1 :]]
    try:
        process = subprocess.Popen(
            words,
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(tell,),
        )
    finally:
        os.close(tell)
    watch = _Watch(process, scratch, limits)
    try:
        stopped = watch.until_end()
    finally:
        kill(process)
        if process.stdout is not None:
            process.stdout.close()
        _await_space(told)
        os.close(told)
        sweep(scratch)
    seconds = time.monotonic() - watch.begin
    return Completed(process.returncode, watch.output.decode(errors="replace"), seconds, stopped, watch.peak_bytes)


def _await_space(told: int) -> None:
    """Wait for the end of bubblewrap's process space, whose first process it told the number of: the last to go."""
    os.set_blocking(told, False)
    try:
        first = json.loads(os.read(told, 4096))["child-pid"]
    except (BlockingIOError, ValueError, KeyError, TypeError):
        return
    deadline = time.monotonic() + _GONE_S
    while _lives(first) and time.monotonic() < deadline:
        time.sleep(0.001)


def _lives(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in "ZX"


class _Watch:
    """One run being watched: its output so far, and the bounds it may exceed."""

    def __init__(self, process: subprocess.Popen[bytes], scratch: Path, limits: Limits) -> None:
        self.process, self.scratch, self.limits = process, scratch, limits
        self.begin = self.scanned = time.monotonic()
        self.looked = self.begin, time.thread_time()
        self.output, self.printed, self.peak_bytes = bytearray(), 0, 0
        self.used_s = 0.0
        """Processor time of its processes, seen last."""

    def until_end(self) -> str:
        """Read and watch until the run ends or must be stopped; which limit stopped it."""
        pipe = self.process.stdout
        assert pipe is not None
        os.set_blocking(pipe.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            checked = self.begin
            while True:
                if selector.select(_POLL_S) and self._take() == b"":
                    return self._await_exit()
                over = self._late() or self._flood()
                if not over and time.monotonic() - checked > _POLL_S:
                    checked = time.monotonic()
                    over = self._over()
                    if not over and self.process.poll() is not None:
                        self._take_rest()
                        return ""
                if over:
                    self._take_rest()
                    return over

    def _take(self) -> bytes | None:
        """The next piece of output, kept as far as there is room; None if there is none now, empty at the end."""
        assert self.process.stdout is not None
        data = self.process.stdout.read(1 << 16)
        self.printed += len(data or b"")
        self.output += (data or b"")[: self.limits.output_bytes - len(self.output)]
        return data

    def _take_rest(self) -> None:
        """What nobody has read yet, as far as there is room; a child of an ended process may hold the pipe open."""
        while len(self.output) < self.limits.output_bytes and self._take():
            pass

    def _await_exit(self) -> str:
        """A process may close its output and go on: its limits still hold."""
        while not (over := self._late()):
            try:
                self.process.wait(_POLL_S)
            except subprocess.TimeoutExpired:
                if over := self._over():
                    break
            else:
                return ""
        return over

    def _late(self) -> str:
        now, most = (time.monotonic(), time.thread_time()), self.limits.seconds
        away, awake = (new - old for new, old in zip(now, self.looked, strict=True))
        if away > _AWAY_S and awake < _AWAKE * away:
            self.begin += away
        self.looked, took = now, now[0] - self.begin
        if took <= most:
            return ""
        starved = _IDLE * took < self.used_s < _MOST * most and took < _STARVED * most
        return "" if starved else f"time limit of {most:g} s"

    def _flood(self) -> str:
        most = _FLOOD * self.limits.output_bytes
        return f"output limit of {most} bytes" if self.printed > most else ""

    def _over(self) -> str:
        """Which bound the processes or their files exceed, or nothing."""
        tree = _tree(self.process.pid)
        self.used_s = max(self.used_s, sum(process.ticks for process in tree) / os.sysconf("SC_CLK_TCK"))
        used = sum(process.pages for process in tree) * os.sysconf("SC_PAGE_SIZE")
        self.peak_bytes = max(self.peak_bytes, used)
        if len(tree) > self.limits.processes:
            return f"limit of {self.limits.processes} processes"
        if used > self.limits.memory_bytes:
            return f"memory limit of {self.limits.memory_bytes >> 20} MiB"
        if time.monotonic() - self.scanned < _SCAN_S:
            return ""
        self.scanned = time.monotonic()
        return _overfull(self.scratch, self.limits)


def _overfull(scratch: Path, limits: Limits) -> str:
    """Which bound on the scratch folder its content exceeds, or nothing."""
    total = 0
    for count, (entry, depth) in enumerate(_entries(scratch), 1):
        with contextlib.suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            total += status.st_blocks * 512
        if count > limits.files or depth > _DEEPEST:
            return f"limit of {limits.files} files, {_DEEPEST} folders deep"
    return f"limit of {limits.scratch_bytes >> 20} MiB of files" if total > limits.scratch_bytes else ""


def _entries(folder: Path) -> Iterator[tuple[os.DirEntry[str], int]]:
    """All below `folder` and how deep it lies; not through links. Folders deeper than is looked at are given alone."""
    pending = [(os.fspath(folder), 0)]
    while pending:
        path, depth = pending.pop()
        try:
            with os.scandir(path) as found:
                for entry in found:
                    if entry.is_dir(follow_symlinks=False) and depth <= _DEEPEST:
                        pending.append((entry.path, depth + 1))
                    yield entry, depth
        except OSError:
            continue


def sweep(scratch: Path) -> None:
    """Remove whatever is no file or folder: what is read there afterwards must not lead out, or wait for ever."""
    odd = [
        e.path
        for e, _ in _entries(scratch)
        if not (e.is_dir(follow_symlinks=False) or e.is_file(follow_symlinks=False))
    ]
    for path in odd:
        with contextlib.suppress(OSError):
            os.unlink(path)


def result_text(path: Path, most: int = 256 << 20) -> str | None:
    """A file that a sandboxed run left; None unless there is a plain file of at most `most` bytes."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_size > most:
        os.close(handle)
        return None
    with open(handle, "rb") as file:
        return file.read(most).decode(errors="replace")


@dataclass(frozen=True)
class _Process:
    """One process: resident pages, and processor time in clock ticks with that of children it has collected."""

    pages: int
    ticks: int


def _tree(root: int) -> list[_Process]:
    """`root` and its descendants."""
    children = _children if _lists_children() else _by_parent().get
    found: list[_Process] = []
    pending = [root]
    while pending:
        pid = pending.pop()
        fields = _stat(pid)
        if fields:
            found.append(_Process(int(fields[21]), sum(map(int, fields[11:15]))))
            pending += children(pid) or []
    return found


def _stat(pid: int) -> list[str]:
    """What the kernel tells of a process from its state on; nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


@lru_cache
def _lists_children() -> bool:
    """Whether the kernel lists a process' children: few do not."""
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


def _children(pid: int) -> list[int]:
    """The processes that threads of `pid` have started."""
    found: list[int] = []
    with contextlib.suppress(OSError):  # it has ended
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


def _by_parent() -> dict[int, list[int]]:
    """All processes by the one that started them."""
    found: dict[int, list[int]] = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        if fields := _stat(pid):
            found.setdefault(int(fields[1]), []).append(pid)
    return found


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the tree of a process that runs `confined` words as a group of its own. Bubblewrap's process space dies with
    it; confine.py reaps its own on SIGTERM."""
    if protection.cache_info().currsize and protection() is LANDLOCK and process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
