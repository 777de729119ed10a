"""Where built things are kept: folders named by the hash of everything that went into them, published atomically."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

STALE_S = 3600.0
"""Age from which a scratch folder that nobody holds is taken to be left behind."""


def cache_root() -> Path:
    """``$RTLOOM_CACHE``, else ``$XDG_CACHE_HOME/rtloom``, else ``~/.cache/rtloom``; created if absent."""
    chosen = os.environ.get("RTLOOM_CACHE")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rtloom"
    base.mkdir(parents=True, exist_ok=True)
    return base.resolve()


def digest(parts: Mapping[str, str | bytes]) -> str:
    """SHA-256 over named parts; order of the mapping does not matter."""
    total = hashlib.sha256()
    for name in sorted(parts):
        part = parts[name]
        data = part if isinstance(part, bytes) else part.encode()
        total.update(f"{name}\0{len(data)}\0".encode() + data)
    return total.hexdigest()


def digest_files(paths: Iterator[Path] | list[Path] | tuple[Path, ...]) -> str:
    """SHA-256 over file names and contents; folders do not count."""
    return digest({path.name: path.read_bytes() for path in paths})


@contextmanager
def scratch_folder(kind: str) -> Iterator[Path]:
    """An empty folder under the cache (so that renaming into it is atomic), removed afterwards.

    It is locked while this process lives, so that what a killed one left can be told from what is in use.
    """
    work = cache_root() / "scratch"
    work.mkdir(exist_ok=True)
    clear_stale(work)
    folder = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=work))
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        os.close(handle)
        _remove(folder)


@lru_cache
def clear_stale(work: Path) -> None:
    """Remove the scratch folders of processes that were killed; once a process."""
    for folder in work.iterdir():
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - os.fstat(handle).st_mtime > STALE_S:
                _remove(folder)
        except OSError:
            continue
        finally:
            os.close(handle)


def _remove(folder: Path) -> None:
    """Remove what a tool left, however deep it lies."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        subprocess.run(["rm", "-rf", "--", folder], check=False)


def entry(kind: str, key: str) -> Path:
    """Where the entry `key` of `kind` lies, whether or not it exists."""
    return cache_root() / kind / key


def publish(folder: Path, kind: str, key: str) -> Path:
    """Move `folder` into the cache as entry `key`; if another process was first, its entry stands."""
    target = entry(kind, key)
    target.parent.mkdir(exist_ok=True)
    try:
        folder.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    return target
