"""Area, timing and power of a design: Yosys to a Liberty library, then OpenSTA.

Blocks with a contract stay modules and everything below them is flattened, so each is mapped alone, in parallel, and
kept by content: a changed block costs only its own mapping. A module that stands many times in a block is prepared once
and flattened then: what is constant in all its places is known to it, and equal logic of several is still shared.
`sram_1r1w` is a black box counted in bits, with the access time the technology assumes. Clock and reset are ideal,
wires have no load, inputs come and outputs go at clock edges.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from hwlib import contracts
from hwlib.design import platform_files
from hwlib.tech import Technology
from verification import cache, rtlil, timing, toolchain, yosys
from verification.build import copy_sources
from verification.memory_macros import Macro, macros_of
from verification.sandbox import Limits
from verification.timing import Path as TimingPath

_OF_LIBERTY = re.compile(r"ERROR: .*(?:liberty file|D flip-flops are not supported)")
"""What Yosys says when the library, not the RTL, is at fault."""
_LIMITS = Limits(seconds=1500, memory_bytes=8 << 30)
_TIMES, _SIZE = 8, 15_000
"""Instances in a block, and characters of RTLIL, from which a module is prepared once. Of a small one more is lost by
not knowing what is constant in one place than there is to save."""
_KEEP = "keep_hierarchy"
"""The attribute that holds Yosys back from flattening."""


@dataclass(frozen=True)
class SynthesisResult:
    """Figures of a mapped design. Areas leave memory macros out; `memory_bits` counts those.

    min_period_ns: the longest register-to-register or port path at the mapping for `clock_ns`. power_mw: internal,
    switching and leakage power of the standard cells running at `min_period_ns`, every net toggling `activity` times a
    cycle. blocks: area of each block without the blocks inside it, all its instances together. latches and unmapped are
    cells a design must not have.
    """

    top: str
    technology: str
    clock_ns: float
    area_um2: float
    cells: int
    flip_flops: int
    blocks: dict[str, float]
    memory_bits: int
    min_period_ns: float
    critical_path: TimingPath
    power_mw: float
    activity: float
    seconds: float
    latches: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()


@dataclass(frozen=True)
class BlockResult:
    """One block mapped alone, the blocks inside it left out: area without memories, cell counts, netlist."""

    block: str
    area_um2: float
    cells: Mapping[str, int]
    netlist: str
    seconds: float


@dataclass(frozen=True)
class Part:
    """A module within a block, mapped alone without the modules inside it: its name, with the parameters that tell it
    from others of that name; how often it stands there, and its area."""

    module: str
    count: int
    area_um2: float


def synthesize(
    files: Sequence[Path],
    top: str,
    parameters: Mapping[str, int],
    technology: Technology,
    clock_ns: float,
    jobs: int | None = None,
) -> SynthesisResult:
    """Map `top` of `files` at `parameters` and measure it. Raises InputError if a tool refuses the design."""
    toolchain.require("yosys", "sta")
    begin = time.monotonic()
    design = _elaborate(files, top, parameters)
    mapped = _map_all(design, files, technology, clock_ns, jobs or os.cpu_count() or 1)
    counts = design.instances(top)
    netlist, memories = macros_of("\n".join(mapped[name].netlist for name in counts))
    report = timing.measure(netlist, top, technology, clock_ns, [macro for macro, _ in memories.values()])
    total = _cell_counts(mapped, counts)
    return SynthesisResult(
        top=top,
        technology=technology.name,
        clock_ns=clock_ns,
        area_um2=sum(mapped[name].area_um2 * count for name, count in counts.items()),
        cells=total.total(),
        flip_flops=sum(n for cell, n in total.items() if cell in _storage(technology.liberty).flip_flops),
        blocks=_block_areas(design, mapped, counts),
        memory_bits=_memory_bits(mapped, counts),
        min_period_ns=report.min_period_ns,
        critical_path=report.path,
        power_mw=report.power_mw,
        activity=timing.ACTIVITY,
        seconds=time.monotonic() - begin,
        latches=tuple(sorted(cell for cell in total if cell in _storage(technology.liberty).latches)),
        unmapped=tuple(sorted(cell for cell in total if cell.startswith("$"))),
    )


def synthesize_block(
    files: Sequence[Path], block: str, parameters: Mapping[str, int], technology: Technology, clock_ns: float
) -> BlockResult:
    """Map one block alone, the blocks it instantiates left out: the quick figure a search uses."""
    toolchain.require("yosys")
    design = _elaborate(files, block, parameters)
    return _map_block(design, block, files, technology, clock_ns)


def block_parts(
    files: Sequence[Path],
    block: str,
    parameters: Mapping[str, int],
    technology: Technology,
    clock_ns: float,
    own: Collection[str],
) -> tuple[Part, ...]:
    """The modules `own` of which a block is made, each mapped by itself at the parameters it has there: about where its
    area is. Together they come to more than the block, which is mapped as one."""
    toolchain.require("yosys")
    design = _elaborate(files, block, parameters, {path.stem for path in files})
    counts = {name: n for name, n in design.instances(block).items() if design.blocks[name] in own}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        areas = pool.map(lambda name: _map_block(design, name, files, technology, clock_ns).area_um2, counts)
        told = (_told(design, name, counts) for name in counts)
        return tuple(Part(*part) for part in zip(told, counts.values(), areas, strict=True))


def _told(design: rtlil.Design, name: str, among: Collection[str]) -> str:
    """The module's own name, with the parameters that differ from those of others `among` of the same text."""
    source, values = design.blocks[name], design.parameters(name)
    others = [design.parameters(other) for other in among if design.blocks[other] == source]
    differ = [f"{key}={value}" for key, value in values.items() if any(other.get(key) != value for other in others)]
    return f"{source}({' '.join(differ)})" if differ else source


def mapped_block(
    files: Sequence[Path], block: str, parameters: Mapping[str, int], technology: Technology, clock_ns: float
) -> BlockResult:
    """Map one block alone; in its netlist the blocks it instantiates have parameters again, so that it can be simulated
    with their own text. Raises InputError if Yosys refuses it."""
    toolchain.require("yosys")
    design = _elaborate(files, block, parameters)
    result = _map_block(design, block, files, technology, clock_ns)
    netlist = result.netlist
    for child in design.children(block):
        values = "".join(f", .{name}({value})" for name, value in design.parameters(child).items())
        module = f"{design.blocks[child]} #({values.removeprefix(', ')})" if values else design.blocks[child]
        netlist = re.sub(rf"^  {child} (?=\S+ \($)", f"  {module} ", netlist, flags=re.MULTILINE)
    return replace(result, netlist=netlist)


def _elaborate(
    files: Sequence[Path], top: str, parameters: Mapping[str, int], kept: Collection[str] = ()
) -> rtlil.Design:
    """Parameters resolved, blocks, or else the modules `kept`, kept apart under their own names."""
    words = " ".join(f"-chparam {name} {value}" for name, value in sorted(parameters.items()))
    stubs = [path for path in platform_files() if path.stem == yosys.MEMORY_CELL]
    sources = [path for path in files if path.stem != yosys.MEMORY_CELL]
    with cache.scratch_folder("elaborate") as work:
        names = copy_sources(sources, work)
        (work / "memory_cell.v").write_text("(* blackbox *)\n" + stubs[0].read_text())
        script = f"read_verilog {' '.join(names)}\nread_verilog -lib memory_cell.v\n"
        yosys.run(script + f"hierarchy -check -top {top} {words}\nwrite_rtlil design.il\n", work, Limits(seconds=300))
        return rtlil.read((work / "design.il").read_text(), kept or {*contracts.names(), top}, yosys.MEMORY_CELL)


def _map_all(
    design: rtlil.Design, files: Sequence[Path], technology: Technology, clock_ns: float, jobs: int
) -> dict[str, BlockResult]:
    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(lambda name: _map_block(design, name, files, technology, clock_ns), design.kept)
        return dict(zip(design.kept, results, strict=True))


def _map_block(
    design: rtlil.Design, name: str, files: Sequence[Path], technology: Technology, clock_ns: float
) -> BlockResult:
    script = _mapping_script(design, name, technology) + _abc_script(technology, clock_ns)
    parts = {
        "flow": f"{toolchain.tool('yosys').version}\n{script}",
        "technology": technology_digest(technology),
        "sources": cache.digest_files([path for path in files if path.stem in design.sources(name)]),
        "elaborated": design.signature(name),
    }
    key = cache.digest(parts)
    done = cache.entry("mapped", key)
    if not done.is_dir():
        with cache.scratch_folder("map") as work:
            _run_mapping(design, name, technology, clock_ns, work)
            done = cache.publish(work / "result", "mapped", key)
    return _read_result(design, name, done)


def _run_mapping(design: rtlil.Design, name: str, technology: Technology, clock_ns: float, work: Path) -> None:
    begin = time.monotonic()
    (work / "result").mkdir()
    (work / "block.il").write_text(design.closure(name, _repeated(design, name), _KEEP))
    write_liberty(technology, work / "cells.lib")
    (work / "adders.v").write_text(technology.adders)
    (work / "abc.constr").write_text(f"set_driving_cell {technology.driver}\nset_load {technology.load_ff}\n")
    (work / "abc.script").write_text(_abc_script(technology, clock_ns))
    try:
        yosys.run(_mapping_script(design, name, technology), work, _LIMITS)
    except yosys.YosysFailed as error:
        if _OF_LIBERTY.search(error.log):
            what = f"Yosys cannot map to this Liberty file: {error.reason}"
            raise timing.LibertyFailed(what, str(technology.liberty), "check --tech") from None
        raise
    (work / "result" / "seconds").write_text(str(time.monotonic() - begin))


def _mapping_script(design: rtlil.Design, name: str, technology: Technology) -> str:
    boxes = "".join(f"blackbox {child}\n" for child in design.children(name))
    avoid = " ".join(f"-dont_use {cell}" for cell in technology.avoid)  # quotes would become part of the pattern
    constraint = "-constr abc.constr" if technology.driver else ""
    coarse = "-extra-map adders.v" if technology.adders else ""
    found, adders = ("extract_fa -fa\n", "techmap -map adders.v\n") if technology.adders else ("", "")
    once, joined = "", ""
    if repeated := _repeated(design, name):  # named in the script, as what is mapped is kept by it
        once = "-hieropt"
        joined = f"# {' '.join(repeated)}\nsetattr -mod -unset {_KEEP}\nflatten\nopt -fast\n"
    return f"""read_rtlil block.il
{boxes}hierarchy -check -top {name}
synth -flatten {once} -noabc {coarse} -run coarse:check
{found}{joined}{adders}dfflibmap -liberty cells.lib {avoid}
opt -fast
abc -liberty cells.lib {avoid} {constraint} -script abc.script
setundef -zero
opt_clean -purge
splitnets
read_liberty -lib cells.lib
rename -wire -suffix _cell
tee -q -o result/stat.json stat -json -liberty cells.lib
write_verilog -noattr -noexpr -nohex -nodec result/netlist.v
"""


def _repeated(design: rtlil.Design, name: str) -> list[str]:
    """The modules in a block that are prepared once."""
    return sorted(design.repeated(name, _TIMES, _SIZE))


def _abc_script(technology: Technology, clock_ns: float) -> str:
    delay = f"-D {clock_ns * 1000:.0f}"
    size = (
        f"; buffer -c -N {technology.buffer_fanout}; topo; upsize {delay}; dnsize {delay}" if technology.driver else ""
    )
    return f"strash; &get -n; &fraig -x; &put; scorr; dc2; strash; dch -f; map -B 0.9 {delay}; topo{size}\n"


def _read_result(design: rtlil.Design, name: str, folder: Path) -> BlockResult:
    modules: dict[str, Any] = json.loads((folder / "stat.json").read_text())["modules"]
    stat = modules[f"\\{name}"]
    others = {yosys.MEMORY_CELL, *design.children(name)}
    cells = {cell.lstrip("\\"): int(n) for cell, n in stat.get("num_cells_by_type", {}).items()}
    counted = {cell: n for cell, n in cells.items() if cell not in others}
    seconds = float((folder / "seconds").read_text())
    return BlockResult(
        design.blocks[name], float(stat.get("area", 0.0)), counted, (folder / "netlist.v").read_text(), seconds
    )


def _cell_counts(mapped: Mapping[str, BlockResult], counts: Mapping[str, int]) -> Counter[str]:
    total: Counter[str] = Counter()
    for name, count in counts.items():
        total.update({cell: n * count for cell, n in mapped[name].cells.items()})
    return total


def _block_areas(
    design: rtlil.Design, mapped: Mapping[str, BlockResult], counts: Mapping[str, int]
) -> dict[str, float]:
    areas: dict[str, float] = {}
    for name, count in counts.items():
        block = design.blocks[name]
        areas[block] = areas.get(block, 0.0) + mapped[name].area_um2 * count
    return areas


def _memory_bits(mapped: Mapping[str, BlockResult], counts: Mapping[str, int]) -> int:
    bits = 0
    for name, count in counts.items():
        found: Mapping[str, tuple[Macro, int]] = macros_of(mapped[name].netlist)[1]
        bits += count * sum(macro.bits * uses for macro, uses in found.values())
    return bits


def write_liberty(technology: Technology, target: Path) -> None:
    """The library as plain text at `target`."""
    target.write_bytes(timing.read_liberty(technology.liberty))


@lru_cache
def technology_digest(technology: Technology) -> str:
    return cache.digest({"liberty": technology.liberty.read_bytes(), "rest": repr(technology)})


@dataclass(frozen=True)
class _Storage:
    flip_flops: frozenset[str]
    latches: frozenset[str]


@lru_cache
def _storage(liberty: Path) -> _Storage:
    """The library's flip-flops and latches."""
    text = timing.read_liberty(liberty).decode(errors="replace")
    pieces = re.split(r"\bcell\s*\(\s*\"?([\w$]+)\"?\s*\)", text)
    cells = dict(zip(pieces[1::2], pieces[2::2], strict=True))
    flip_flops = {name for name, body in cells.items() if re.search(r"\bff\s*\(", body)}
    return _Storage(
        frozenset(flip_flops), frozenset(n for n, body in cells.items() if re.search(r"\blatch\s*\(", body))
    )
