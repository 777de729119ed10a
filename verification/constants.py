"""Constants in elaborated RTL: how many bits of them feed logic, module by module.

A design that has memorised its answers holds them somewhere: in a `case`, a vector that is indexed, a memory with
contents, a chain of comparisons. All are constants at the inputs of cells once Yosys has elaborated the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from verification import cache, rtlil, yosys
from verification.build import copy_sources
from verification.sandbox import Limits

_CELL = re.compile(r"^  cell ", re.MULTILINE)
_INPUT = re.compile(r"^    connect \\\w+ (.*)$", re.MULTILINE)
_CHOICES = ("$mux ", "$pmux ", "$bmux ")
_CONTENTS = re.compile(r"^    parameter \\INIT \d+'([01x]+)$", re.MULTILINE)
_CONSTANT = re.compile(r"\b\d+'s?([01]+)")
_LIMITS = Limits(seconds=300, memory_bytes=4 << 30)


def constant_bits(
    files: Sequence[Path], top: str, parameters: Mapping[str, int], counted: Sequence[str]
) -> dict[str, int]:
    """Bits of constants by source module, of those `counted` below `top`; each elaborated variant of a module counts.

    What a multiplexer chooses from counts whole unless it is zero; elsewhere leading zeros or ones, which only extend,
    do not count. Raises YosysFailed if the RTL is refused.
    """
    words = " ".join(f"-chparam {name} {value}" for name, value in sorted(parameters.items()))
    with cache.scratch_folder("constants") as work:
        names = copy_sources(files, work)
        script = f"read_verilog {' '.join(names)}\nhierarchy -check -top {top} {words}\nproc\nmemory_collect\n"
        yosys.run(script + "opt_clean\ndump -o design.il\n", work, _LIMITS)
        modules = list(rtlil.modules((work / "design.il").read_text()))
    bits = dict.fromkeys(counted, 0)
    for module in modules:
        if module.source in bits:
            bits[module.source] += _bits(module.text)
    return bits


def _bits(text: str) -> int:
    """Bits of constants in a module's text."""
    count = 0
    for cell in _CELL.split(text)[1:]:
        size = _chosen if cell.startswith(_CHOICES) else _significant
        for connected in _INPUT.findall(cell):
            count += sum(size(bits) for bits in _CONSTANT.findall(connected))
        count += sum(len(bits.replace("x", "")) for bits in _CONTENTS.findall(cell))
    return count


def _chosen(bits: str) -> int:
    return len(bits) if "1" in bits else 0


def _significant(bits: str) -> int:
    return len(bits.lstrip(bits[0]))
