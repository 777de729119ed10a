"""Verilog models of a technology's cells, written from the functions and flip-flops its Liberty file states.

A mapped netlist simulated with them shows what the silicon would compute: whatever text a simulator and a synthesiser
read differently, this is the synthesiser's reading. No delays; cells a design must not have (latches, tri-states) and
cells without a stated function are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from hwlib.errors import InputError
from verification import timing
from verification.timing import LibertyFailed

_CELL = re.compile(r"\bcell\s*\(\s*\"?([\w$]+)\"?\s*\)")
_TOKEN = re.compile(r'"[^"]*"|[\w.$+-]+|[(){}:;,]')
_NAME = re.compile(r"[A-Za-z_]\w*")
_FUNCTION_TOKEN = re.compile(r"[A-Za-z_]\w*|[01]|[!'()&*|+^]")


class NoModel(InputError):
    """A cell that no model can be written for: a latch, a tri-state driver, one without a stated function."""


@dataclass
class _Group:
    """A Liberty group: kind, arguments, simple attributes, groups inside."""

    kind: str
    arguments: tuple[str, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)
    groups: list[_Group] = field(default_factory=list)

    def named(self, kind: str) -> list[_Group]:
        return [group for group in self.groups if group.kind == kind]


def models(liberty: Path, cells: Iterable[str]) -> str:
    """A Verilog module for each of `cells`. Raises NoModel, and LibertyFailed if a cell is not there."""
    texts = _texts(liberty)
    return "".join(_model(name, texts, liberty) for name in sorted(set(cells)))


@lru_cache(maxsize=4)
def _texts(liberty: Path) -> dict[str, str]:
    """The text behind each cell's head, as far as the next cell's."""
    text = re.sub(r"/\*.*?\*/", "", timing.read_liberty(liberty).decode(errors="replace"), flags=re.DOTALL)
    pieces = _CELL.split(text.replace("\\\n", ""))
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def _model(name: str, texts: dict[str, str], liberty: Path) -> str:
    if name not in texts:
        raise LibertyFailed(f"no cell {name}", str(liberty), "check --tech")
    cell = _Group("cell", (name,))
    _fill(cell, _tokens(texts[name]))
    pins = cell.named("pin")
    odd = [g.kind for g in cell.groups if g.kind in ("latch", "statetable", "bus", "bundle", "ff_bank")]
    odd += ["three_state" for pin in pins if "three_state" in pin.attributes]
    if odd:
        raise NoModel(f"cell {name} has a {odd[0]}, which no model is written for", str(liberty), "avoid it")
    inputs = [p.arguments[0] for p in pins if p.attributes.get("direction") == "input"]
    outputs = [p for p in pins if p.attributes.get("direction") == "output"]
    ports = [f"input {pin}" for pin in inputs] + [f"output {pin.arguments[0]}" for pin in outputs]
    body = [line for state in cell.named("ff") for line in _flip_flop(state)]
    for pin in outputs:
        if "function" not in pin.attributes:
            raise NoModel(f"cell {name} states no function of {pin.arguments[0]}", str(liberty), "avoid it")
        body.append(f"assign {pin.arguments[0]} = {expression(pin.attributes['function'])};")
    lines = "".join(f"    {line}\n" for line in body)
    return f"`celldefine\nmodule {name} ({', '.join(ports)});\n{lines}endmodule\n`endcelldefine\n"


def _flip_flop(state: _Group) -> list[str]:
    """The register `state` declares, its inverse, and the block that loads it."""
    true, inverse = state.arguments
    clock = expression(state.attributes["clocked_on"])
    resets = [(state.attributes[kind], value) for kind, value in (("clear", 0), ("preset", 1)) if
              kind in state.attributes]  # fmt: skip
    lines = [f"reg {true};", f"wire {inverse} = ~{true};", f"wire clocked_on = {clock};"]
    lines += [f"wire asynchronous_{value} = {expression(text)};" for text, value in resets]
    edges = " or ".join(["posedge clocked_on", *(f"posedge asynchronous_{value}" for _, value in resets)])
    lines.append(f"always @({edges})")
    lines += [f"    if (asynchronous_{value}) {true} <= 1'b{value}; else" for _, value in resets]
    return [*lines, f"    {true} <= {expression(state.attributes['next_state'])};"]


def expression(function: str) -> str:
    """A Liberty function in Verilog: `!` or a following `'` inverts; `*`, `&` or a blank is and; `+` or `|` is or."""
    tokens = _FUNCTION_TOKEN.findall(function)
    written: list[str] = []
    for index, token in enumerate(tokens):
        if written and _begins(token) and _ends(tokens[index - 1]):
            written.append("&")
        if token == "'":
            operand = _last_operand(written)
            written[len(written) - operand :] = ["(~", *written[len(written) - operand :], ")"]
        else:
            written.append({"!": "~", "*": "&", "+": "|", "0": "1'b0", "1": "1'b1"}.get(token, token))
    return "".join(written)


def _begins(token: str) -> bool:
    return token in ("!", "(", "0", "1") or bool(_NAME.fullmatch(token))


def _ends(token: str) -> bool:
    return token in ("'", ")", "0", "1") or bool(_NAME.fullmatch(token))


def _last_operand(written: list[str]) -> int:
    """How many of the last words are the operand that a following `'` inverts."""
    depth = 0
    for count, word in enumerate(reversed(written), 1):
        depth += (word == ")") - word.startswith("(")
        if depth == 0:
            return count
    return len(written)


def _tokens(text: str) -> Iterator[str]:
    """The words of a cell's body, behind its opening brace."""
    return (match[0] for match in _TOKEN.finditer(text[text.index("{") + 1 :]))


def _fill(group: _Group, tokens: Iterator[str]) -> None:
    """Read ``name : value ; name (arguments) ; name (arguments) { … } }`` into `group`, to its closing brace."""
    name, arguments = "", tuple[str, ...]()
    for token in tokens:
        if token == "}":
            return
        if token == ":":
            group.attributes[name] = next(tokens).strip('"').strip()
        elif token == "(":
            arguments = tuple(_arguments(tokens))
        elif token == "{":
            group.groups.append(_Group(name, arguments))
            _fill(group.groups[-1], tokens)
        elif token != ";":
            name = token


def _arguments(tokens: Iterator[str]) -> Iterator[str]:
    for token in tokens:
        if token == ")":
            return
        if token != ",":
            yield token.strip('"')
