"""Stand-ins for memories and blocks that let a proof look at the block around them alone.

A stand-in may do all that the real thing may, and more: what holds around it holds around the real thing. Its streams
keep the handshake and the ordering that are proved of the real block; nothing else is promised.
"""

from __future__ import annotations

from collections.abc import Iterable

from hwlib import contracts
from hwlib.contracts import Contract, Interface, Ordering
from verification.properties import counter, stem

MEMORY = "sram_1r1w"


def stubs(files: Iterable[str], block: str) -> dict[str, str]:
    """Stand-ins by file name for the memory and the blocks among `files` (names), `block` itself excepted.

    A submodule's file of a block that is stood in for becomes empty.
    """
    used = contracts.load(block).uses
    found = {}
    for name in files:
        module = name.removesuffix(".v")
        owner = next((u for u in used if module == u or module.startswith(u + "_")), None)
        if module == MEMORY:
            found[name] = _MEMORY
        elif owner in contracts.names():
            found[name] = _block(owner) if module == owner else ""
    return found


_MEMORY = """module sram_1r1w #(
    parameter WIDTH = 32, parameter DEPTH = 64, parameter GRAIN = 8, parameter ADDR_BITS = $clog2(DEPTH)
) (
    input clk, input read_en, input [ADDR_BITS-1:0] read_addr, output reg [WIDTH-1:0] read_data,
    input write_en, input [ADDR_BITS-1:0] write_addr, input [WIDTH-1:0] write_data,
    input [WIDTH/GRAIN-1:0] write_strb
);
    wire [WIDTH-1:0] word = $anyseq;
    always @(posedge clk) if (read_en) read_data <= word;
endmodule
"""


def _block(block: str) -> str:
    contract = contracts.load(block)
    parameters = ", ".join(f"parameter {name} = {p.default}" for name, p in contract.parameters.items())
    ports, lines = ["input clk", "input rst_n"], []
    for interface in contract.interfaces:
        name, inward = stem(interface), interface.direction == "in"
        forward, backward = ("input", "output") if inward else ("output", "input")
        ports += [f"{forward} {name}valid"] if interface.kind != "wires" else []
        ports += [f"{backward} {name}ready"] if interface.kind == "stream" else []
        ports += [f"{forward} [{width}-1:0] {name}{field}" for field, width in interface.fields.items()]
        lines += _input(interface) if inward else _output(contract, interface)
    lines += [line for index, each in enumerate(contract.ordering) for line in _count(contract, each, f"count{index}")]
    body = "\n".join(f"    {line}" for line in lines)
    return f"module {block} #({parameters}) (\n    {', '.join(ports)}\n);\n{body}\nendmodule\n"


def _input(interface: Interface) -> list[str]:
    return [f"assign {stem(interface)}ready = $anyseq;"] if interface.kind == "stream" else []


def _output(contract: Contract, interface: Interface) -> list[str]:
    """Valid is free but for reset, ordering and a beat that waits; so is the payload but for that beat."""
    name = stem(interface)
    free = [(f"{name}{field}", str(width), f"free_{name}{field}") for field, width in interface.fields.items()]
    lines = [f"wire [{width}-1:0] {wire} = $anyseq;" for _, width, wire in free]
    if interface.kind == "wires":
        return lines + [f"assign {port} = {wire};" for port, _, wire in free]
    low, held = f"low_{interface.name}", f"held_{interface.name}"
    owed = [f" && count{n}_more != 0" for n, each in enumerate(contract.ordering) if each.out == interface.name]
    lines += [f"reg {low};", f"always @(posedge clk) {low} <= !rst_n;", f"wire free_{name}valid = $anyseq;"]
    if interface.kind == "flow" or interface.may_withdraw:
        lines.append(f"assign {name}valid = free_{name}valid && !{low}{''.join(owed)};")
        return lines + [f"assign {port} = {wire};" for port, _, wire in free]
    lines.append(f"reg {held};")
    lines.append(f"always @(posedge clk) {held} <= rst_n && {name}valid && !{name}ready;")
    lines.append(f"assign {name}valid = ({held} || (free_{name}valid{''.join(owed)})) && !{low};")
    for port, width, wire in free:
        was = f"was_{port}"
        lines += [f"reg [{width}-1:0] {was};", f"always @(posedge clk) {was} <= {port};"]
        lines.append(f"assign {port} = {held} ? {was} : {wire};")
    return lines


def _count(contract: Contract, ordering: Ordering, count: str) -> list[str]:
    """Beats of an output that its inputs allow and that have not come; see `properties`."""
    by_name = {interface.name: interface for interface in contract.interfaces}
    out, of = by_name[ordering.out], by_name[ordering.of]
    return [] if out.direction == "in" else counter(ordering, out, of, count)
