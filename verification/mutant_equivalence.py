"""Whether a fault changes what a block does: original and mutant side by side, and a proof that no output tells them
apart where the contract gives it a meaning.

The two begin alike with all registers at zero and run any traffic; at any time the fault may become effective, in a
cycle of reset. So registers without reset hold what earlier traffic left, as they may in a block fresh from power-up.
Inputs are free: a fault that only shows in traffic the contract forbids is not proved equivalent. ABC merges
registers that always agree (`scorr`), then searches for a proof (`pdr`, Bradley 2011).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwlib import contracts
from hwlib.contracts.schema import Interface
from verification import cache, yosys
from verification.mutate import CHOICE, OPTION, Mutants, Mutation
from verification.sandbox import Limits

_ANSWER, _MERGED = "answer", "merged.aig"


def equivalent(mutants: Mutants, mutation: Mutation, seconds: int = 5) -> bool:
    """Whether ABC proves within about `seconds` that `mutation` changes nothing; False says only that it did not."""
    with cache.scratch_folder("equivalent") as work:
        (work / "original.il").write_text(mutants.original)
        (work / "miter.v").write_text(_miter(mutants))
        for cell in mutants.cells:
            shutil.copyfile(cell, work / cell.name)
        (work / "engine.abc").write_text(_ENGINE.format(seconds=seconds))
        try:
            yosys.run(_script(mutants, mutation), work, Limits(seconds=30 + 4 * seconds, memory_bytes=3 << 30))
            return _never(work / _MERGED) or (work / _ANSWER).read_text().startswith("snl_UNSAT")
        except (yosys.YosysFailed, OSError):
            return False


def evident(mutants: Mutants) -> set[int]:
    """Numbers of the faults that change nothing by the look of the cell: in a bit that nothing reads, that is constant
    at the fault's value, or that is inverted only when another bit decides the or or and they are operands of."""
    module = json.loads(mutants.graph.read_text())["modules"][mutants.block]
    cells = module["cells"]
    read = {bit for port in module["ports"].values() if port["direction"] == "output" for bit in port["bits"]}
    for cell in cells.values():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "input":
                read.update(bits)
    return {m.number for m in mutants.mutations if _changes_nothing(dict(OPTION.findall(m.command)), cells, read)}


def _changes_nothing(said: dict[str, str], cells: Mapping[str, Any], read: set[int | str]) -> bool:
    cell, port, mode = cells[said["cell"].removeprefix("\\")], said["port"], said["mode"]
    bit = cell["connections"][port][int(said["portbit"])]
    if cell["port_directions"][port] == "output":
        return bit not in read
    if mode in ("const0", "const1"):
        return bool(bit == mode[-1])
    absorbing = {"cnot1": ("$reduce_or", "$reduce_bool", "$logic_not", "$logic_and", "$logic_or"),
                 "cnot0": ("$reduce_and",)}  # fmt: skip
    return cell["type"] in absorbing.get(mode, ())


def _never(graph: Path) -> bool:
    """Whether nothing is left of the graph but an output that is constantly low."""
    head, output = graph.read_bytes().split(b"\n", 2)[:2]
    _, _, _, latches, outputs, ands = head.split()
    return (latches, outputs, ands, output) == (b"0", b"1", b"0", b"0")


_ENGINE = f"""write_blif kept.blif
read_aiger miter.aig
scorr
write_aiger {_MERGED}
pdr -T {{seconds}}
write_status {_ANSWER}
read_blif kept.blif
"""

_ASK = """design -reset
read_verilog <<EOT
module ask (input a, input b, output y);
    assign y = a & b;
endmodule
EOT
hierarchy -top ask
techmap
abc -script engine.abc
"""
"""ABC is reached through a netlist of one gate, which it is given back."""


def _script(mutants: Mutants, mutation: Mutation) -> str:
    command = mutation.command.replace("mutate ", f"mutate -ctrl {CHOICE} 1 1 ", 1)
    cells = "".join(f"delete {cell.stem}\nread_verilog {cell.name}\n" for cell in mutants.cells)
    return f"""read_rtlil original.il
{command}
rename {mutants.block} mutant
read_rtlil -overwrite original.il
{cells}read_verilog miter.v
hierarchy -check -top miter
proc
flatten
opt_clean
memory_map
async2sync
dffunmap
techmap
setundef -zero -init
aigmap
opt_clean
write_aiger -zinit miter.aig
{_ASK}"""


def _miter(mutants: Mutants) -> str:
    """A module with one output that is high where original and mutant differ."""
    contract = contracts.load(mutants.block)
    ports = [port for port in contract.ports(mutants.point) if port.name not in ("clk", "rst_n")]
    inputs = [port for port in ports if port.direction == "input"]
    outputs = [port for port in ports if port.direction == "output"]
    taken = "".join(f", .{port.name}({port.name})" for port in inputs)
    given = {side: "".join(f", .{p.name}({side}_{p.name})" for p in outputs) for side in ("original", "mutant")}
    widths = {port.name: f"[{port.width - 1}:0]" for port in ports}
    heads = "".join(f",\n    input wire {widths[port.name]} {port.name}" for port in inputs)
    wires = "".join(f"    wire {widths[p.name]} {side}_{p.name};\n" for p in outputs for side in given)
    differences = " | ".join(word for i in contract.interfaces for word in _differences(i, widths)) or "1'b0"
    return f"""module miter (
    input wire clk,
    input wire rst_n,
    input wire plant{heads},
    output wire differ
);
{wires}    reg begun, effective, since;
    always @(posedge clk) begin
        begun <= 1'b1;
        effective <= effective | plant;
        since <= effective;
    end
    wire reset_n = rst_n & begun & (since | ~effective);
    {mutants.block} original (.clk(clk), .rst_n(reset_n){taken}{given["original"]});
    mutant mutant (.clk(clk), .rst_n(reset_n), .{CHOICE}(effective){taken}{given["mutant"]});
    assign differ = reset_n & ({differences});
endmodule
"""


def _differences(interface: Interface, widths: Mapping[str, str]) -> list[str]:
    """Expressions that are high where an interface's outputs differ: a payload only while it is valid."""
    stem = interface.name + interface.separator if interface.name else ""
    outputs = [name for name in (stem + field for field in interface.fields) if name in widths]
    if interface.kind == "wires":
        return [_differ(name) for name in outputs] if interface.direction == "out" else []
    if interface.direction == "in":
        return [_differ(stem + "ready")] if interface.kind == "stream" else []
    payload = " | ".join(_differ(name) for name in outputs) or "1'b0"
    return [_differ(stem + "valid"), f"original_{stem}valid & ({payload})"]


def _differ(name: str) -> str:
    return f"(original_{name} != mutant_{name})"
