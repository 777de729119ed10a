"""The files of a suite: read as text whatever their bytes, and named by version."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hwlib.errors import InputError

MOST_BYTES = 8 << 20


def text_of(path: Path) -> str:
    """The file's text; bytes that are no UTF-8 are shown as such. InputError if it cannot be read."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"larger than {MOST_BYTES >> 20} MiB", str(path), "give a checkout of the suite")
        return path.read_text(errors="replace")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", str(path), "give a whole checkout of the suite") from None


def commit_of(folder: Path) -> str:
    """The commit of the checkout `folder` is, or is the dataset folder of; empty if it is none."""
    top = next((place for place in (folder, folder.parent) if (place / ".git").exists()), None)
    if top is None:
        return ""
    try:
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", "-C", str(top), "rev-parse", "HEAD"],
            capture_output=True, text=True, check=False, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
