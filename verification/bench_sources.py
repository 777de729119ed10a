"""What a block's bench is made of, so that what it decided stays valid while none of that changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import hwlib
import verification.benches
from hwlib import contracts
from verification import cache

_IMPORTS = re.compile(r"^from verification\.benches(?:\.(\w+))? import (\([^)]*\)|.*)", re.MULTILINE)
_ALWAYS = ("driver", "exchange", "scenario")


def bench_texts(block: str) -> dict[str, str]:
    """The modules of `block`'s bench by name: its own, what runs every bench, and all these import of the package."""
    folder = Path(verification.benches.__file__).parent
    texts: dict[str, str] = {}
    pending = [block, *_ALWAYS]
    while pending:
        name = pending.pop()
        path = folder / f"{name}.py"
        if name not in texts and path.exists():
            texts[name] = path.read_text()
            pending += _imported(texts[name])
    return texts


def _imported(text: str) -> Iterator[str]:
    """Names that may be modules of the benches' package. By the text: it is asked at each verdict, parsing is slow."""
    for module, names in _IMPORTS.findall(text):
        yield from [module] if module else re.findall(r"\w+", names)


@lru_cache
def judges_digest(block: str) -> str:
    """Hash of whatever decides a bench's verdict on `block` besides the seed: bench, golden functions, contracts."""
    promised = {f"{name}.yaml": contracts.load(name).model_dump_json() for name in ("top", block)}
    return cache.digest(bench_texts(block) | {"golden functions": _golden_digest()} | promised)


@lru_cache
def _golden_digest() -> str:
    """Hash of the modules of `hwlib`, which every block shares; templates judge nothing."""
    folder = Path(hwlib.__file__).parent
    paths = {str(path.relative_to(folder)): path for path in folder.rglob("*.py")}
    return cache.digest({name: path.read_text() for name, path in paths.items() if not name.startswith("templates/")})
