"""The registers an output's value follows from, within a cycle and one before, named as in the block's own text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from verification import cache, sandbox, yosys

LIMITS = sandbox.Limits(seconds=60, memory_bytes=4 << 30)
_WIRE = re.compile(r"(?P<about>(?: *attribute .*\n)*) *wire [^\n]*?\\(?P<name>\S+)\n")
_SOURCE = re.compile(r'attribute \\src "(?:[^"]*\|)?(?P<file>[\w.]+):(?P<line>\d+)[^"|]*"')
_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True, order=True)
class Register:
    """A register by its name from the block down, generated copies as one (``row[*].sum``), and where it is declared
    (nowhere, if it is a memory's word). `before`: cycles between it and the output, 0 or 1."""

    before: int
    file: str
    line: int
    name: str


def registers(
    files: Sequence[Path], block: str, point: Mapping[str, int], outputs: Sequence[str]
) -> tuple[Register, ...]:
    """The registers from which combinational logic leads to any of the `outputs` of `block` at `point`, then those from
    which it leads to these, by file and line. What comes out of a platform's memory is followed no further. Raises
    YosysFailed if Yosys does not take the files."""
    if not outputs:
        return ()
    ports = " ".join(f"w:{name}" for name in outputs)
    with cache.scratch_folder("cone") as work:
        yosys.run(
            f"""{yosys.reading(files, block, point, work)}proc
flatten -noscopeinfo
memory_map
opt_clean
select -set held t:$*dff* %co1:+[Q] w:* %i
select -set near {ports} %cie* @held %i
select -set far @near %ci2 %cie* @held %i @near %d
dump -o near.il @near
dump -o far.il @far
""",
            work,
            LIMITS,
        )
        found = [sandbox.result_text(work / f"{name}.il") or "" for name in ("near", "far")]
    seen: dict[tuple[str, int, str], int] = {}
    for before, text in enumerate(found):
        for match in _WIRE.finditer(text):
            place = _SOURCE.search(match["about"])
            file, line = (place["file"], int(place["line"])) if place else ("", 0)
            seen.setdefault((file, line, _INDEX.sub("[*]", match["name"])), before)
    return tuple(sorted(Register(before, *place) for place, before in seen.items()))
