"""Child processes with limits: the one place where whole-design simulation starts a program."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

MEMORY_LIMIT_BYTES = 6 << 30


def start(argv: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start `argv` in `folder`, in a process group of its own, with pipes and a memory limit."""
    return subprocess.Popen(
        _limited(argv), cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


def run_tool(
    argv: Sequence[str], folder: Path, timeout_s: float, environment: Mapping[str, str]
) -> tuple[int | None, str]:
    """Run a tool to its end: (exit status, output), or (None, output) if it was killed after `timeout_s`."""
    with subprocess.Popen(
        _limited(argv), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True, text=True, errors="replace", env={**os.environ, **environment},
    ) as child:  # fmt: skip
        try:
            output, _ = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            kill(child)
            output, _ = child.communicate()
            return None, output
    return child.returncode, output


def kill(child: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """Kill the child's whole process group and reap it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _limited(argv: Sequence[str]) -> list[str]:
    return ["prlimit", f"--as={MEMORY_LIMIT_BYTES}", "--core=0", *argv]
