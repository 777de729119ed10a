"""Handshake and ordering properties of a block, from its contract, as a Verilog wrapper with an output bit for each.

The wrapper holds reset low from cycle 0 for RESET_CYCLES cycles, and so long again whenever it chooses. `prove_keep`
says that the environment keeps the contract: it begins nothing during reset, holds what it offers on a stream until it
is accepted, and answers no more than it was asked. Bit n of `prove_bad` is high in a cycle that breaks property n.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hwlib import contracts
from hwlib.contracts import Contract, Interface, Ordering, Port
from verification.aiger import Aiger

WRAPPER = "prove"
"""The wrapper's module; only its own names begin so."""
RESET_CYCLES = 4
"""Cycles reset is held low, as the benches do."""
COUNT_BITS = 12
"""Width of the counters of outstanding beats; a count that reaches the top is no longer held against the block."""


@dataclass(frozen=True)
class Property:
    """One promise: `kind` is stays, stable, reset, order or ready; `message` says what broke it."""

    kind: str
    interface: str
    message: str

    @property
    def name(self) -> str:
        return f"{self.interface}.{self.kind}"


@dataclass
class _Text:
    """The wrapper as it grows: declarations and statements, what is assumed, what is bad."""

    widths: Mapping[str, int]
    lines: list[str] = field(default_factory=list)
    keep: list[str] = field(default_factory=list)
    bad: list[tuple[Property, str]] = field(default_factory=list)


def properties(block: str) -> list[Property]:
    """The properties of `block`: in the order of the bits of ``prove_bad``, then of ``prove_ready``."""
    ready = [
        Property("ready", i.name, f"{stem(i)}ready follows {stem(i)}valid in the same cycle") for i in _asked(block)
    ]
    return [each for each, _ in _collect(contracts.load(block), {}).bad] + ready


def with_ready(graph: Aiger, block: str) -> Aiger:
    """The wrapper's graph with a port ``prove_ready``: a bit for each input whose ready must not follow its valid."""
    found = []
    for interface in _asked(block):
        valid, ready = (graph.names[stem(interface) + name][0] for name in ("valid", "ready"))
        graph, literal = graph.with_dependence(ready, valid, graph.names["rst_n"][0])
        found.append(literal)
    return graph.naming({"prove_ready": tuple(found)})


def _asked(block: str) -> list[Interface]:
    """Input streams whose ready the contract does not let depend on their valid."""
    streams = [i for i in contracts.load(block).interfaces if i.kind == "stream" and i.direction == "in"]
    return [interface for interface in streams if not interface.ready_sees_valid]


def wrapper(block: str, point: Mapping[str, int]) -> str:
    """Verilog of the wrapper around `block` at parameters `point`; all its ports besides clk are as the block's."""
    contract = contracts.load(block)
    text = _collect(contract, point)
    header = ",\n    ".join(_port(port) for port in contract.ports(point))
    body = "\n".join(f"    {line}" for line in [*_instance(contract, point), *_RESET, *text.lines])
    keep = " && ".join(text.keep)
    bad = ", ".join(condition for _, condition in reversed(text.bad))
    return f"""module {WRAPPER} (
    {header},
    output wire prove_keep,
    output wire [{max(len(text.bad), 1) - 1}:0] prove_bad
);
{body}
    assign prove_keep = {keep};
    assign prove_bad = {{{bad or "1'b0"}}};
endmodule
"""


def environment(block: str, point: Mapping[str, int]) -> tuple[list[str], str]:
    """Verilog declarations over the block's ports, and an expression of them: the environment keeps the contract."""
    contract = contracts.load(block)
    text = _collect(contract, point)
    return [*_constants(contract, point), *_RESET, *text.lines], " && ".join(text.keep)


_RESET = (
    "reg prove_started = 1'b0;",
    "reg [2:0] prove_low = 3'd0;",
    f"wire prove_reset = prove_low == 3'd{RESET_CYCLES};",
    "always @(posedge clk) begin",
    "    prove_started <= 1'b1;",
    "    if (rst_n) prove_low <= 3'd0;",
    "    else if (!prove_reset) prove_low <= prove_low + 3'd1;",
    "end",
)
_KEEP_RESET = "(!rst_n || (prove_started && (prove_low == 3'd0 || prove_reset)))"


def _collect(contract: Contract, point: Mapping[str, int]) -> _Text:
    text = _Text({port.name: port.width for port in contract.ports(point)}, keep=[_KEEP_RESET])
    for interface in contract.interfaces:
        if interface.kind != "wires":
            (_environment if interface.direction == "in" else _promises)(text, interface)
    for index, ordering in enumerate(contract.ordering):
        _order(text, contract, ordering, f"prove_count{index}")
    return text


def _environment(text: _Text, interface: Interface) -> None:
    valid = stem(interface) + "valid"
    text.keep.append(f"(rst_n || !{valid})")
    if interface.legal:
        text.keep.append(f"(!{valid} || ({interface.legal}))")
    for flag, last in interface.turns.items():
        turn, name = f"prove_turn_{interface.name}_{flag}", stem(interface)
        text.keep.append(f"(!{valid} || {name}{flag} == {turn})")
        change = f"{turn} ^ ({moves(interface)} && {name}{last})"
        text.lines += [f"reg {turn} = 1'b0;", f"always @(posedge clk) {turn} <= rst_n && ({change});"]
    if interface.kind == "stream":
        held, same = _hold(text, interface)
        text.keep.append(f"(!rst_n || !{held} || ({valid} && {same}))")


def _promises(text: _Text, interface: Interface) -> None:
    name, valid = interface.name, stem(interface) + "valid"
    why = Property("reset", name, f"{valid} is high although reset has been low for {RESET_CYCLES} cycles")
    text.bad.append((why, f"!rst_n && prove_reset && {valid}"))
    if interface.kind != "stream":
        return
    held, same = _hold(text, interface)
    if not interface.may_withdraw:
        why = Property("stays", name, f"{valid} falls before {stem(interface)}ready was high")
        text.bad.append((why, f"rst_n && {held} && !{valid}"))
    if interface.fields:
        why = Property("stable", name, f"the beat on {name} changes before it is accepted")
        text.bad.append((why, f"rst_n && {held} && {valid} && !{same}"))


def _hold(text: _Text, interface: Interface) -> tuple[str, str]:
    """Names: whether the last cycle offered a beat that was not accepted; whether the payload is still that beat's."""
    held, was, name = f"prove_held_{interface.name}", f"prove_was_{interface.name}", stem(interface)
    payload = "{" + ", ".join(name + field for field in interface.fields) + "}"
    text.lines += [f"reg {held} = 1'b0;", f"always @(posedge clk) {held} <= rst_n && {name}valid && !{name}ready;"]
    if not interface.fields:
        return held, "1'b1"
    width = sum(text.widths[name + field] for field in interface.fields)
    text.lines += [f"reg [{width - 1}:0] {was};", f"always @(posedge clk) {was} <= {payload};"]
    return held, f"({payload} == {was})"


def _order(text: _Text, contract: Contract, ordering: Ordering, count: str) -> None:
    """A counter of beats of `out` that beats of `of` allow and that have not come."""
    by_name = {interface.name: interface for interface in contract.interfaces}
    out, of = by_name[ordering.out], by_name[ordering.of]
    more, top = f"{count}_more", f"{COUNT_BITS}'d{(1 << COUNT_BITS) - 1}"
    text.lines += counter(ordering, out, of, count)
    if out.direction == "in":
        text.keep.append(f"(!{stem(out)}valid || ({count} != 0 && {count} != {top}))")
    else:
        why = f"a beat of {out.name} that no beat of {of.name} asked for"
        text.bad.append((Property("order", f"{out.name}<={of.name}", why), f"rst_n && {moves(out)} && {more} == 0"))


def counter(ordering: Ordering, out: Interface, of: Interface, count: str) -> list[str]:
    """Verilog: a register `count`, beats allowed before this cycle, and a wire ``<count>_more``, with this cycle's."""
    more, top = f"{count}_more", f"{COUNT_BITS}'d{(1 << COUNT_BITS) - 1}"
    return [
        f"reg [{COUNT_BITS - 1}:0] {count} = {ordering.initial};",
        f"wire [{COUNT_BITS - 1}:0] {count}_add = ({moves(of)} && ({ordering.when})) ? {ordering.each} : 0;",
        f"wire [{COUNT_BITS}:0] {more} = {count} + {count}_add;",
        f"wire [{COUNT_BITS}:0] {count}_next = {more} - {moves(out)};",
        "always @(posedge clk)",
        f"    if (!rst_n) {count} <= {ordering.initial};",
        f"    else if ({count} != {top}) {count} <= {count}_next >= {top} ? {top} : {count}_next[{COUNT_BITS - 1}:0];",
    ]


def stem(interface: Interface) -> str:
    """What the names of its ports begin with."""
    return interface.name + interface.separator if interface.name else ""


def moves(interface: Interface) -> str:
    """Verilog: a beat passes in this cycle."""
    valid = stem(interface) + "valid"
    return f"({valid} && {stem(interface)}ready)" if interface.kind == "stream" else valid


def _port(port: Port) -> str:
    width = "" if port.width == 1 else f"[{port.width - 1}:0] "
    return f"{port.direction} wire {width}{port.name}"


def _instance(contract: Contract, point: Mapping[str, int]) -> list[str]:
    parameters = ", ".join(f".{name}({name})" for name in contract.parameters)
    ports = ", ".join(f".{port.name}({port.name})" for port in contract.ports(point))
    return [*_constants(contract, point), f"{contract.block} #({parameters}) dut ({ports});"]


def _constants(contract: Contract, point: Mapping[str, int]) -> list[str]:
    values = {name: p.default for name, p in contract.parameters.items()} | dict(point)
    return [f"localparam {name} = {value};" for name, value in values.items()]
