"""Where built things are kept: folders named by the hash of everything that went into them, published atomically."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


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
    """An empty folder under the cache (so that renaming into it is atomic), removed afterwards."""
    work = cache_root() / "scratch"
    work.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=work))
    try:
        yield folder
    finally:
        _remove(folder)


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
