"""The schema of a contract and the ports it derives."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwlib.errors import InputError

FOLDER = Path(__file__).parent
ORDER = (
    "array", "requantizer", "activation", "matrix_unit", "softmax", "norm", "eltwise", "vector_unit",
    "scratchpad", "load_unit", "store_unit", "sequencer", "control", "top",
)  # fmt: skip
"""Blocks, leaves before the blocks that instantiate them."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Parameter(_Strict):
    """A Verilog parameter: its meaning, inclusive range and default."""

    doc: str
    min: int
    max: int
    default: int


class Interface(_Strict):
    """A bundle of ports named ``<name><separator><field>``.

    stream: valid/ready with payload fields; flow: valid with fields, never refused; wires: fields only.
    Widths are expressions of the parameters. `direction` is the payload's, seen from the block.
    """

    name: str
    kind: Literal["stream", "flow", "wires"]
    direction: Literal["in", "out"]
    fields: dict[str, str | int] = Field(default_factory=dict)
    doc: str
    separator: str = "_"
    legal: str = ""
    """What every beat given to the block satisfies, as a Verilog expression of its ports."""
    turns: dict[str, str] = Field(default_factory=dict)
    """Fields that are 0 in the first beats given to the block, and change after each beat of which this field is 1."""
    may_withdraw: bool = False
    """An output beat that is offered may be taken back (after a fault)."""
    ready_sees_valid: bool = False
    """An input's ready may depend on its own valid in the same cycle."""


class Ordering(_Strict):
    """`out` follows `of`: so many beats of `of` as meet `when` allow `each` beats of `out` apiece, and no more.

    An output interface must keep to it; of an input interface it is what the environment keeps to, a cycle later or
    more. `initial` beats are allowed before any of `of`. `each` and `when` are Verilog expressions of the block's
    parameters and of its ports as `of` is accepted.
    """

    out: str
    of: str
    each: str = "1"
    when: str = "1'b1"
    initial: int = 0


class Coverage(_Strict):
    """Beats of interface `of` that a bench must have seen: by name, an expression of the beat that is true.

    Names: the payload's fields, with ``was_`` before them those of the beat before since reset, the block's parameters;
    where the payload is an instruction also `op`, its operands, waits, and its flags in small letters.
    """

    of: str
    bins: dict[str, str]


class Contract(_Strict):
    """What a block promises; the single source of its ports, bench, prompt section and docs row."""

    block: str
    summary: str
    parameters: dict[str, Parameter]
    interfaces: list[Interface]
    behaviour: str
    numerics: list[str] = Field(default_factory=list)
    throughput: str
    latency: str
    uses: list[str] = Field(default_factory=list)
    ordering: list[Ordering] = Field(default_factory=list)
    bench_points: list[dict[str, int]]
    coverage: list[Coverage] = Field(default_factory=list)
    constants: int = 1024
    """Bits of constants its modules may hold; a block with a table of values by contract has more."""

    def ports(self, values: Mapping[str, int] | None = None) -> list[Port]:
        """Flat ports, clk and rst_n first, widths evaluated at `values` over the defaults."""
        env = {name: p.default for name, p in self.parameters.items()} | dict(values or {})
        ports = [Port("clk", "input", 1), Port("rst_n", "input", 1)]
        for interface in self.interfaces:
            ports += _interface_ports(interface, env)
        return ports

    def check(self, values: Mapping[str, int]) -> None:
        """Raise InputError for an unknown parameter or one out of range."""
        for name, value in values.items():
            if name not in self.parameters:
                raise InputError(f"unknown parameter '{name}'", self.block, f"use one of {sorted(self.parameters)}")
            p = self.parameters[name]
            if not p.min <= value <= p.max:
                raise InputError(f"{name} = {value}", self.block, f"use {p.min} to {p.max}")


@dataclass(frozen=True)
class Port:
    """One Verilog port: direction is `input` or `output`, width in bits."""

    name: str
    direction: str
    width: int


def _interface_ports(interface: Interface, env: Mapping[str, int]) -> list[Port]:
    forward, backward = ("input", "output") if interface.direction == "in" else ("output", "input")
    stem = interface.name + interface.separator if interface.name else ""
    ports = []
    if interface.kind != "wires":
        ports.append(Port(stem + "valid", forward, 1))
    if interface.kind == "stream":
        ports.append(Port(stem + "ready", backward, 1))
    return ports + [Port(stem + f, forward, evaluate(str(w), env)) for f, w in interface.fields.items()]


_OPERATORS: Mapping[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


_PARSING = Lock()


@lru_cache(4096)
def parsed(expression: str) -> ast.Expression:
    """The syntax tree of an expression, one thread at a time: Python 3.11's parser may fail in several at once."""
    with _PARSING:
        return ast.parse(expression, mode="eval")


def evaluate(expression: str, env: Mapping[str, int]) -> int:
    """An integer expression of parameters: names, + - * //, and clog2(x)."""

    def walk(node: ast.expr) -> int:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.Name):
            return env[node.id]
        if isinstance(node, ast.BinOp):
            return _OPERATORS[type(node.op)](walk(node.left), walk(node.right))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "clog2":
            return max(1, (walk(node.args[0]) - 1).bit_length())
        raise InputError(f"width expression '{expression}'", "contract", "use names, integers, + - * // and clog2()")

    return walk(parsed(expression).body)


def names() -> tuple[str, ...]:
    """Every block with a contract, leaves first."""
    return ORDER


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C parser where PyYAML has it, ten times as fast: every command reads the contracts."""


@lru_cache
def load(name: str) -> Contract:
    """The contract of block `name`; InputError if there is none or the file does not fit the schema."""
    path = FOLDER / f"{name}.yaml"
    if name not in ORDER:
        raise InputError(f"no contract '{name}'", str(FOLDER.name), f"use one of {', '.join(ORDER)}")
    try:
        return Contract.model_validate(yaml.load(path.read_text(), Loader=_LOADER))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            first["msg"], f"{path.name}:{'.'.join(map(str, first['loc']))}", "see hwlib/contracts/schema.py"
        ) from error
