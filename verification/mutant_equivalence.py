"""Whether a fault changes what a block does: original and mutant side by side under all inputs the contract allows,
and a proof that no output tells them apart where the contract gives it a meaning.

The two begin alike with all registers at zero and run any traffic; at the beginning of any reset the fault may become
effective. So registers without reset hold what earlier traffic left, as they may in a block fresh from power-up.
ABC merges registers that always agree, then searches for a proof.

For a proof memories are taken out: what is done to them must be the same in both, and what they answer is any word,
the same for both.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Any

from hwlib import contracts
from hwlib.contracts.schema import Interface
from verification import cache, prover, yosys
from verification.aiger import read as read_aiger
from verification.mutate import CHOICE, OPTION, Mutants, Mutation
from verification.properties import environment, stem
from verification.prover import Question
from verification.sandbox import Limits
from verification.yosys import MEMORY_CELL


def equivalent(mutants: Mutants, mutation: Mutation, seconds: float = 5.0) -> bool:
    """Whether it is proved within about `seconds` that `mutation` changes nothing; False says only that it was not."""
    memories = _memories(mutants)
    with cache.scratch_folder("equivalent") as work:
        (work / "original.il").write_text(_boxed(mutants.original, memories))
        (work / "boxes.v").write_text("".join(map(_box, range(len(memories)), memories.values())))
        (work / "miter.v").write_text(_miter(mutants, memories))
        for cell in mutants.cells:
            shutil.copyfile(cell, work / cell.name)
        try:
            yosys.run(_script(mutants, mutation), work, Limits(seconds=120, memory_bytes=3 << 30))
        except yosys.YosysFailed:
            return False
        outputs = [("keep", 1), ("differ", 1)]
        graph = read_aiger((work / "miter.aig").read_bytes(), (work / "miter.map").read_text(), outputs)
        question = Question(graph.names["differ"][0], graph.names["keep"][0])
        found = prover.decide(graph, [question], work, seconds, alike=True, bounded=False)
        return found[0].state == "proved"


_Widths = dict[str, int]
"""By port of a memory."""


def _memories(mutants: Mutants) -> dict[str, _Widths]:
    """Instances of the platform's memory by name."""
    cells = json.loads(mutants.graph.read_text())["modules"][mutants.block]["cells"]
    found = {name: cell["connections"] for name, cell in cells.items() if cell["type"] == MEMORY_CELL}
    return {name: {port: len(bits) for port, bits in ports.items()} for name, ports in found.items()}


def evident(mutants: Mutants) -> set[int]:
    """Numbers of the faults that change nothing by the look of the netlist: in a bit that no output depends on, that is
    constant at the fault's value, or that is inverted only when another bit decides what they are operands of: an or,
    an and, a comparison with a constant.
    """
    module = json.loads(mutants.graph.read_text())["modules"][mutants.block]
    seen = _observed(module)
    return {m.number for m in mutants.mutations if _changes_nothing(dict(OPTION.findall(m.command)), module, seen)}


_BY_BIT = {"$mux": "Y", "$and": "Y", "$or": "Y", "$xor": "Y", "$xnor": "Y", "$not": "Y",
           "$dff": "Q", "$dffe": "Q", "$sdff": "Q", "$sdffe": "Q", "$sdffce": "Q"}  # fmt: skip
"""Cells whose output bits depend on the same bits of their operands: the output port by type."""
_OPERANDS = ("A", "B", "D")

_Bit = int | str


def _observed(module: Mapping[str, Any]) -> set[_Bit]:
    """The bits that some output of the module depends on."""
    driver = {bit: (cell, index) for cell in module["cells"].values() for port, bits in cell["connections"].items()
              if cell["port_directions"][port] == "output" for index, bit in enumerate(bits)}  # fmt: skip
    outputs = [port for port in module["ports"].values() if port["direction"] == "output"]
    pending: list[_Bit] = [bit for port in outputs for bit in port["bits"]]
    seen: set[_Bit] = set()
    while pending:
        bit = pending.pop()
        if bit not in seen:
            seen.add(bit)
            pending += _causes(*driver[bit]) if bit in driver else []
    return seen


def _causes(cell: Mapping[str, Any], index: int) -> list[_Bit]:
    """The bits that bit `index` of a cell's output depends on."""
    found: list[_Bit] = []
    for port, bits in cell["connections"].items():
        if cell["port_directions"][port] == "input":
            by_bit = cell["type"] in _BY_BIT and port in _OPERANDS
            found += bits[index : index + 1] or bits[-1:] if by_bit else bits
    return found


def _changes_nothing(said: Mapping[str, str], module: Mapping[str, Any], seen: set[_Bit]) -> bool:
    cell, port = module["cells"][said["cell"].removeprefix("\\")], said["port"]
    mode, index = said["mode"], int(said["portbit"])
    bit = cell["connections"][port][index]
    if cell["port_directions"][port] == "output":
        return bit not in seen
    if mode in ("const0", "const1") and bit == mode[-1]:
        return True
    absorbing = {"cnot1": ("$reduce_or", "$reduce_bool", "$logic_not", "$logic_and", "$logic_or"),
                 "cnot0": ("$reduce_and",)}  # fmt: skip
    if cell["type"] in absorbing.get(mode, ()) or seen.isdisjoint(_effects(cell, port, index)):
        return True
    return mode in ("cnot0", "cnot1") and _unequal_anyway(cell, port, int(said["ctrlbit"]), mode[-1])


def _unequal_anyway(cell: Mapping[str, Any], port: str, control: int, when: str) -> bool:
    """The cell compares `port` with something that has a constant other than `when` in place `control`."""
    if cell["type"] not in ("$eq", "$ne", "$eqx", "$nex"):
        return False
    other = cell["connections"]["B" if port == "A" else "A"]
    return control < len(other) and other[control] in ("0", "1") and other[control] != when


def _effects(cell: Mapping[str, Any], port: str, index: int) -> list[_Bit]:
    """The output bits of a cell that bit `index` of its input `port` can change."""
    result = _BY_BIT.get(cell["type"], "")
    operand = cell["connections"][port]
    if result and port in _OPERANDS and index < len(operand) - 1:
        return list(cell["connections"][result][index : index + 1])
    return [bit for name, bits in cell["connections"].items() if cell["port_directions"][name] == "output"
            for bit in bits]  # fmt: skip


def _boxed(rtlil: str, apart: Mapping[str, _Widths]) -> str:
    """The netlist with each memory an instance of a module of its own, whose ports are as wide as they must be."""
    for index, name in enumerate(apart):
        rtlil = rtlil.replace(f"cell \\{MEMORY_CELL} \\{name}\n", f"cell \\box{index} \\{name}\n")
    return rtlil


def _box(index: int, memory: _Widths) -> str:
    ports = ", ".join(
        f"{'output' if port == 'read_data' else 'input'} [{width - 1}:0] {port}" for port, width in memory.items()
    )
    return f"module box{index} ({ports});\nendmodule\n"


def _script(mutants: Mutants, mutation: Mutation) -> str:
    command = mutation.command.replace("mutate ", f"mutate -ctrl {CHOICE} 1 1 ", 1)
    cells = "".join(f"delete {cell.stem}\nread_verilog {cell.name}\n" for cell in mutants.cells)
    return f"""read_rtlil original.il
{command}
rename {mutants.block} mutant
read_rtlil -overwrite original.il
read_verilog -lib boxes.v
expose -evert {mutants.block} mutant
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
write_aiger -zinit -map miter.map miter.aig
"""


def _miter(mutants: Mutants, apart: Mapping[str, _Widths]) -> str:
    """A module with an output that is high where original and mutant differ, and one while the contract is kept.

    The original's outputs bear the ports' names, so the contract is that of its environment.
    """
    contract = contracts.load(mutants.block)
    ports = [port for port in contract.ports(mutants.point) if port.name not in ("clk", "rst_n")]
    shared = "".join(f", .{port.name}({port.name})" for port in ports if port.direction == "input")
    outputs = [port for port in ports if port.direction == "output"]
    given = {side: "".join(f", .{p.name}({side}{p.name})" for p in outputs) for side in ("", "mutant_")}
    widths = {port.name: f"[{port.width - 1}:0]" for port in ports}
    heads = "".join(f"    input wire {widths[p.name]} {p.name},\n" for p in ports if p.direction == "input")
    wires = [f"wire {widths[p.name]} {side}{p.name};" for p in outputs for side in given]
    differences = [word for i in contract.interfaces for word in _differences(i, widths)]
    lines, keep = environment(mutants.block, mutants.point)
    for index, (name, memory) in enumerate(apart.items()):
        stand_in = f"m{index}_"
        heads += f"    input wire [{memory['read_data'] - 1}:0] {stand_in}word,\n"
        lines += _stand_in(stand_in, memory)
        given = {side: said + _bound(name, side + stand_in, memory, stand_in) for side, said in given.items()}
        differences += [_differ(f"{stand_in}{port}") for port in ("read_en", "write_en")]
        differences += [f"{stand_in}read_en & {_differ(f'{stand_in}read_addr')}"]
        written = " | ".join(_differ(f"{stand_in}write_{what}") for what in ("addr", "data", "strb"))
        differences += [f"{stand_in}write_en & ({written})"]
    body = "".join(f"    {line}\n" for line in [*wires, *lines])
    return f"""module miter (
    input wire clk,
    input wire rst_n,
    input wire plant,
{heads}    output wire keep,
    output wire differ
);
{body}    reg planted = 1'b0;
    wire effective = planted || (plant && !rst_n && prove_low == 0);
    always @(posedge clk) planted <= effective;
    {mutants.block} original (.clk(clk), .rst_n(rst_n){shared}{given[""]});
    mutant mutant (.clk(clk), .rst_n(rst_n), .{CHOICE}(effective){shared}{given["mutant_"]});
    assign keep = {keep};
    assign differ = rst_n && ({" | ".join(differences) or "1'b0"});
endmodule
"""


def _stand_in(name: str, memory: _Widths) -> list[str]:
    """Verilog: a memory that answers a read with any word, and holds its answer until the next."""
    word, kept = f"[{memory['read_data'] - 1}:0]", f"{name}kept"
    asked = [f"wire [{width - 1}:0] {side}{name}{port};" for port, width in memory.items() for side in ("", "mutant_")
             if port not in ("clk", "read_data")]  # fmt: skip
    return [
        *asked, f"reg {name}read = 1'b0;", f"reg {word} {kept};", f"wire {word} {name}read_data;",
        f"assign {name}read_data = {name}read ? {name}word : {kept};",
        f"always @(posedge clk) begin {name}read <= {name}read_en; {kept} <= {name}read_data; end",
    ]  # fmt: skip


def _bound(instance: str, side: str, memory: _Widths, shared: str) -> str:
    """The ports a module has in place of a memory `instance`, in an instantiation."""
    wires = {port: f"{side}{port}" for port in memory if port != "clk"} | {"read_data": f"{shared}read_data"}
    return "".join(f", .\\{instance}.{port} ({wire})" for port, wire in wires.items())


def _differences(interface: Interface, widths: Mapping[str, str]) -> list[str]:
    """Expressions that are high where an interface's outputs differ: a payload only while it is valid."""
    name = stem(interface)
    outputs = [name + field for field in interface.fields if name + field in widths]
    if interface.kind == "wires":
        return [_differ(output) for output in outputs] if interface.direction == "out" else []
    if interface.direction == "in":
        return [_differ(name + "ready")] if interface.kind == "stream" else []
    payload = " | ".join(_differ(output) for output in outputs) or "1'b0"
    return [_differ(name + "valid"), f"{name}valid & ({payload})"]


def _differ(name: str) -> str:
    return f"({name} != mutant_{name})"
