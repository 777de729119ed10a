"""Results kept on disk under the content they follow from, beside the built things of `verification`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from hwlib.files import write_whole
from verification import cache

T = TypeVar("T")


def kept(kind: str, parts: Mapping[str, str], compute: Callable[[], T], shape: Any) -> T:
    """What `compute` gives, or gave before for the same `parts` (everything the result follows from).

    `shape` is the result's type, for pydantic. A file that no longer fits it is computed anew.
    """
    adapter: TypeAdapter[T] = TypeAdapter(shape)
    path = cache.entry(kind, cache.digest(parts))
    if path.exists():
        try:
            return adapter.validate_json(path.read_bytes())
        except ValidationError:
            path.unlink()
    found = compute()
    write_whole(path, adapter.dump_json(found))
    return found


@lru_cache
def sources(folder: Path, pattern: str = "**/*.py") -> str:
    """Hash of the source files in `folder`: a result follows from the program too."""
    files = sorted(folder.glob(pattern))
    return cache.digest({str(path.relative_to(folder)): path.read_bytes() for path in files})
