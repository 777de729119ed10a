"""A secret seed for each submission: made when it is first judged, kept so that the same content is judged the same.

Seeds lie under the cache, which no campaign holds and no sandbox shows, readable by their owner alone.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from verification import cache

BITS = 128


def seed_of(digest: str) -> int:
    """The seed for the candidate of that content digest; a new one if it was never judged or its file is damaged."""
    path = _folder() / digest
    for _ in range(2):
        try:
            return int(path.read_text(), 16)
        except ValueError:
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        _make(path)
    return int(path.read_text(), 16)


def _folder() -> Path:
    folder = cache.cache_root() / "sealed"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _make(path: Path) -> None:
    """Put a fresh seed at `path` whole, unless another process was first. `mkstemp` makes files of mode 600."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(f"{secrets.randbits(BITS):x}")
            file.flush()
            os.fsync(file.fileno())
        os.link(name, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(name)
