"""What a hostile design must not reach, and the sandbox watched and hurried while it tries."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from verification import sandbox

VARIABLE, WORD = "RTLOOM_TEST_KEY", "canary-5f1e"
KERNEL = Path("/proc/sys/kernel/core_pattern")
SECONDS, MEMORY = 6.0, 500 << 20


@dataclass
class Traps:
    """Canaries: a file, a name, a port, a process, a variable. `sprung` says what was reached."""

    secret: Path
    target: Path
    server: socket.socket
    process: subprocess.Popen[bytes]
    kernel: str
    outputs: list[str]

    def arm(self, text: str) -> str:
        """`text` aimed at the canaries."""
        names = {"SECRET": self.secret, "TARGET": self.target, "PORT": self.server.getsockname()[1],
                 "PID": self.process.pid, "VARIABLE": VARIABLE}  # fmt: skip
        for name, value in names.items():
            text = text.replace(f"@{name}@", str(value))
        return text

    def sprung(self, *texts: str) -> list[str]:
        """Which canaries were read, written, reached or killed; `texts` are what the tools and gates said."""
        found = [] if self.secret.read_text() == WORD else ["the secret was changed"]
        found += ["the target was written"] if self.target.exists() else []
        found += ["the process was killed"] if self.process.poll() is not None else []
        found += ["the kernel was changed"] if self.kernel != kernel_setting() else []
        found += ["something was leaked"] if any(WORD in text for text in (*texts, *self.outputs)) else []
        try:
            self.server.accept()[0].close()
            found.append("the port was reached")
        except BlockingIOError:
            pass
        return found


def kernel_setting() -> str:
    return KERNEL.read_text() if KERNEL.exists() else ""


def set_traps(folder: Path) -> Traps:
    """Canaries in `folder`, which no sandbox is given, and in this process."""
    secret = folder / "secret"
    secret.write_text(WORD)
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    process = subprocess.Popen(["sleep", "3600"])
    return Traps(secret, folder / "target", server, process, kernel_setting(), [])


def clear(traps: Traps) -> None:
    traps.server.close()
    traps.process.kill()
    traps.process.wait()


class Hurried:
    """`sandbox.run` with less time, memory and room, that remembers what was said and held."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self.seconds, self.memory = seconds, memory
        self.runs: list[sandbox.Completed] = []
        self._run, self._lock = sandbox.run, threading.Lock()
        monkeypatch.setattr(sandbox, "run", self.run)

    def run(
        self,
        command: Sequence[str],
        scratch: Path,
        *,
        readable: Sequence[Path] = (),
        env: Mapping[str, str] | None = None,
        limits: sandbox.Limits | None = None,
    ) -> sandbox.Completed:
        given = limits or sandbox.Limits()
        limits = replace(
            given,
            seconds=min(given.seconds, self.seconds),
            memory_bytes=min(given.memory_bytes, self.memory),
            file_bytes=min(given.file_bytes, 64 << 20),
            scratch_bytes=64 << 20,
            files=2000,
        )
        done = self._run(command, scratch, readable=readable, env=env, limits=limits)
        with self._lock:
            self.runs.append(done)
        return done

    @property
    def peak_bytes(self) -> int:
        """The most memory that any run was seen to hold."""
        return max((done.peak_bytes for done in self.runs), default=0)
