"""Decides properties of a wrapper around candidate RTL: Yosys makes an and-inverter graph of both, ABC searches it.

Each property is first tried by property-directed reachability (IC3; Bradley 2011, Een, Mishchenko, Brayton 2011), which
proves for all time, then by bounded model checking from reset. All of it runs in the sandbox; what comes back of a
counterexample is input bits alone, and what the design does with them is worked out here from the graph.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from verification import sandbox, yosys
from verification.aiger import Aiger
from verification.aiger import read as read_aiger
from verification.build import copy_sources

State = Literal["proved", "bounded", "violated", "unknown"]
ELABORATION = sandbox.Limits(seconds=60, memory_bytes=3 << 30)
DEPTH = 24
"""Cycles from the start of the first reset that bounded model checking looks at, if time allows."""


@dataclass(frozen=True)
class Outcome:
    """What became of a property. depth: cycles it holds for (bounded) or until it breaks (violated), from the start.

    trace: values of all ports in each cycle up to there, if it is violated.
    """

    state: State
    depth: int = 0
    trace: tuple[dict[str, int], ...] = ()


@dataclass(frozen=True)
class Question:
    """One property of a graph: the literal that must never be high while `keep` has always been."""

    bad: int
    keep: int


def elaborate(
    wrapper: str,
    files: Iterable[Path],
    folder: Path,
    stubs: Mapping[str, str] | None = None,
    *,
    from_zero: bool = False,
) -> Aiger:
    """The graph of `wrapper` (module ``prove``) over `files`, made in `folder`; `stubs` replace files of their names.

    Registers begin with any value, but those of the wrapper with theirs; what is undefined may be anything, always.
    `from_zero`: instead all of this is 0. Raises YosysFailed.
    """
    replaced = dict(stubs or {})
    names = copy_sources([path for path in files if path.name not in replaced], folder)
    for name, text in (replaced | {"prove.v": wrapper}).items():
        (folder / name).write_text(text)
    formal = " ".join(sorted([*replaced, "prove.v"]))
    undefined = "setundef -init -zero\nsetundef -zero" if from_zero else "setundef -anyseq"
    yosys.run(_ELABORATE.format(formal=formal, files=" ".join(names), undefined=undefined), folder, ELABORATION)
    outputs = [(name, int(top or 0) + 1) for top, name in _OUTPUT.findall(wrapper)]
    return read_aiger((folder / "graph.aig").read_bytes(), (folder / "graph.map").read_text(), outputs)


_OUTPUT = re.compile(r"^ *output wire (?:\[(\d+):0\] )?(\w+)", re.MULTILINE)
_ELABORATE = """read_verilog -formal {formal}
read_verilog {files}
hierarchy -check -top prove
proc
flatten
opt_expr
opt_clean
memory_map
opt_expr
opt_clean
async2sync
dffunmap
techmap
{undefined}
aigmap
opt_clean
write_aiger -zinit -map graph.map graph.aig
"""


def decide(
    graph: Aiger,
    questions: Sequence[Question],
    folder: Path,
    seconds: float,
    *,
    given: Sequence[Outcome] | None = None,
    forever: bool = True,
    alike: bool = False,
    bounded: bool = True,
) -> list[Outcome]:
    """An outcome for each question, spending about `seconds` at most on each and engine; `forever`: try proofs;
    `bounded`: look for counterexamples from reset on.

    What is already proved or violated in `given` is not asked again. `alike`: there is
    one question; first merge what is the same in the graph.
    """
    before = given or [Outcome("unknown")] * len(questions)
    found = [Outcome("proved") if question.bad == 0 else b for question, b in zip(questions, before, strict=True)]
    limit = max(1, round(seconds))
    if alike:
        found = _search(graph, questions, found, folder, f"scorr\nwrite_aiger merged.aig\npdr -T {limit}", 3 * limit)
        if (folder / "merged.aig").exists() and _never((folder / "merged.aig").read_bytes()):
            found = [Outcome("proved")] * len(found)
    elif forever:
        found = _search(graph, questions, found, folder, f"pdr -T {limit}", limit)
    return _search(graph, questions, found, folder, f"bmc3 -F {DEPTH} -T {limit}", limit) if bounded else found


def decide_function(graph: Aiger, bad: int, folder: Path, seconds: float) -> Outcome:
    """Whether the literal `bad` of a graph without state can be high; a counterexample is a trace of one cycle."""
    if bad < 2:
        return Outcome("violated", 1, tuple(graph.run([[0] * graph.inputs]))) if bad else Outcome("proved")
    return _search(graph, [Question(bad, 1)], [Outcome("unknown")], folder, "fraig -C 10000\ndsat", int(seconds))[0]


def _never(text: bytes) -> bool:
    """Whether the one output of a graph in binary AIGER is the constant 0."""
    head, *lines = text.split(b"\n", 2 + int(text.split(maxsplit=4)[3]))
    return head.split()[4] == b"1" and lines[int(head.split()[3])] == b"0"


def _search(
    graph: Aiger, questions: Sequence[Question], found: Sequence[Outcome], folder: Path, engine: str, seconds: int
) -> list[Outcome]:
    """Ask `engine`, commands of ABC, about what is open in `found`."""
    asked = [index for index, outcome in enumerate(found) if outcome.state in ("unknown", "bounded")]
    if not asked:
        return list(found)
    lines = ["write_blif kept.blif"]
    for index in asked:
        text = graph.property_text(questions[index].bad, questions[index].keep)
        (folder / f"question{index}.aig").write_bytes(text)
        (folder / f"answer{index}").unlink(missing_ok=True)
        lines += [f"read_aiger question{index}.aig", "fold", engine, f"write_status answer{index}"]
    (folder / "engine.abc").write_text("\n".join([*lines, "read_blif kept.blif", ""]))
    with contextlib.suppress(yosys.YosysFailed):  # what was answered until then stands
        yosys.run(_ASK, folder, sandbox.Limits(seconds=3 + 1.5 * len(asked) * seconds))
    return [_answer(graph, folder / f"answer{i}", o) if i in asked else o for i, o in enumerate(found)]


_ASK = """read_verilog <<EOT
module ask (input a, input b, output y);
    assign y = a & b;
endmodule
EOT
hierarchy -top ask
techmap
abc -script engine.abc
"""
"""ABC is reached through a netlist of one gate, which it is given back."""


def _answer(graph: Aiger, path: Path, before: Outcome) -> Outcome:
    """ABC's status file: a line ``snl_<result> <frames> …``; with a counterexample, state bits and then input bits."""
    try:
        lines = path.read_text(errors="replace").split("\n")
        result, frames = lines[0].split()[:2]
    except (OSError, ValueError):
        return before
    if result == "snl_UNSAT":
        return Outcome("proved")
    if result == "snl_SAT":
        return _replay(graph, lines)
    depth = max(int(frames), before.depth)
    return Outcome("bounded" if depth > 0 else "unknown", depth)


def _replay(graph: Aiger, lines: Sequence[str]) -> Outcome:
    """The counterexample's input bits, a cycle after the other, run through the graph."""
    bits = [int(bit) for bit in lines[2]] if len(lines) > 2 else []
    cycles = len(bits) // graph.inputs
    vectors = [bits[graph.inputs * cycle : graph.inputs * (cycle + 1)] for cycle in range(cycles)]
    return Outcome("violated", cycles, tuple(graph.run(vectors)))
