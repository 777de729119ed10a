"""The text form of instructions: one a line, ``OP.FLAG.FLAG name=value ... ; waits``.

``GEMM.ACT a_addr=0 ... wait=3,0,12,0`` where the waits are load, store, matrix, vector. A ``#`` starts a comment.
"""

from __future__ import annotations

from collections.abc import Iterable

from hwlib import isa
from hwlib.errors import InputError


def disassemble(instructions: Iterable[isa.Instruction], comments: Iterable[str] = ()) -> str:
    """Text of `instructions`, each followed by its comment where one is given."""
    notes = iter(comments)
    lines = []
    for item in instructions:
        note = next(notes, "")
        lines.append(_line(item) + (f"  # {note}" if note else ""))
    return "\n".join(lines) + "\n"


def _line(item: isa.Instruction) -> str:
    order = [name for name, _, _ in isa.BY_NAME[item.op].flags if name in item.flags]
    parts = [".".join([item.op, *order])]
    parts += [f"{f.name}={item.operands.get(f.name, 0)}" for f in isa.BY_NAME[item.op].operands]
    if any(item.waits):
        parts.append("wait=" + ",".join(map(str, item.waits)))
    return " ".join(parts)


def assemble(text: str, where: str = "assembly") -> tuple[isa.Instruction, ...]:
    """The instructions in `text`. Raises InputError naming the line for anything that is not an instruction."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        body = line.split("#", 1)[0].split()
        if body:
            found.append(_parse(body, f"{where}:{number}"))
    return tuple(found)


def _parse(parts: list[str], where: str) -> isa.Instruction:
    op, *flags = parts[0].split(".")
    operands: dict[str, int] = {}
    waits = [0, 0, 0, 0]
    try:
        for part in parts[1:]:
            name, _, value = part.partition("=")
            if name == "wait":
                waits = [int(v, 0) for v in value.split(",")]
            else:
                operands[name] = int(value, 0)
        first, second, third, fourth = waits
        item = isa.Instruction(op, operands, frozenset(flags), (first, second, third, fourth))
        return isa.decode(isa.encode(item))
    except ValueError:
        raise InputError(
            f"cannot read '{' '.join(parts)}'", where, "write OP.FLAG name=value ... wait=l,s,m,v"
        ) from None
    except InputError as error:
        raise InputError(error.what, where, error.mend) from None
