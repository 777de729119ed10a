"""No false alarms: the expert and every template variant, at ten parameter points each, pass every gate.

A block is judged by the gates of blocks in the expert's or the default templates' surroundings; whole designs (the
expert, the default templates) by all gates. What was judged before is kept as evidence, so that a run that is
stopped, or ends after --seconds, goes on where it was. Exit 1 if a gate refused something, or not all was judged.

`python -m tests.benchmarks.false_alarms [--points N] [--seconds S] [--block B] [--processes N] [--json]`
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

from agents.strictness import gate_context
from hwlib import contracts, templates
from hwlib.design import EXPERT, Design, read_design, with_parameters
from hwlib.errors import InputError
from hwlib.spec import read_spec
from hwlib.templates.catalog import Choice, defaults, option_space, variants
from verification import gates
from verification.judgement import WHOLE, Candidate, Context

SPEC = Path(__file__).parents[2] / "hwlib" / "specs" / "digits.yaml"
MULTIPLIERS = 64
"""T*T*D of a point at most: more takes long to simulate."""
SEED = 1
CLOCK_NS = 30.0
"""Of whole designs when they are synthesised: how fast one is was never promised at these points."""


@dataclass(frozen=True)
class Case:
    """Something known to be right, and the gate to judge it."""

    name: str
    candidate: Candidate
    gate: str


def points(count: int) -> list[dict[str, int]]:
    """Legal parameters of the top, drawn once and for all, the default first."""
    dice, expert = random.Random(SEED), read_design(EXPERT)
    found = [dict(contracts.load("top").bench_points[0])]
    while len(found) < count:
        tile, dot, beat = dice.choice((2, 4, 8)), dice.choice((1, 2, 4, 8, 16)), dice.choice((4, 8, 16))
        drawn = {
            "T": tile, "D": dot, "AXI_BYTES": beat, "WORDS": dice.choice((256, 512, 1024, 2048)),
            "BANKS": dice.choice((2, 4, 8)), "ACT_LANES": dice.choice((1, 2, 4)), "ACT_TABLES": dice.choice((1, 2, 4)),
            "MATRIX_PARAMS": dice.choice((64, 256, 1024)), "VECTOR_PARAMS": dice.choice((64, 256, 1024)),
            "ROW_SCALES": dice.choice((16, 32, 64)), "QUEUE": dice.choice((2, 4, 8)),
        }  # fmt: skip
        if tile * tile * dot <= MULTIPLIERS and drawn not in found and _legal(expert, drawn):
            found.append(drawn)
    return found


def _legal(expert: Design, point: dict[str, int]) -> bool:
    try:
        with_parameters(expert, **point)
    except InputError:
        return False
    return True


def designs(folder: Path, block: str) -> Iterator[tuple[str, Design]]:
    """The expert, and the default templates with every variant of the block, each with every first and last option."""
    expert = read_design(EXPERT)
    yield "expert", expert
    for name in variants(block):
        options = option_space(block)[name]
        for end in sorted({0, -1} if any(len(legal) > 1 for legal in options.values()) else {0}):
            chosen = {key: legal[end] for key, legal in options.items()}
            at = folder / f"{block}.{name}.{end}"
            made = templates.render_design(at, expert.manifest, defaults() | {block: Choice(name, chosen)})
            yield f"{name} {' '.join(f'{k}={v}' for k, v in chosen.items())}".strip(), made


def cases(folder: Path, count: int, only: str = "") -> Iterator[Case]:
    """All there is to judge, blocks first."""
    drawn = points(count)
    blocks = [b for b in contracts.names() if b != "top" and only in ("", b)]
    for block in blocks:
        for name, design in designs(folder, block):
            for point in drawn:
                candidate = Candidate(with_parameters(design, **point), block)
                yield from (Case(f"{block} {name}", candidate, gate) for gate in gates.BLOCK_GATES)
    if not only:
        expert = read_design(EXPERT)
        wholes = {"expert": expert, "templates": templates.render_design(folder / "all", expert.manifest, defaults())}
        for name, design in wholes.items():
            for point in drawn:
                candidate = Candidate(with_parameters(design, **point), WHOLE)
                yield from (Case(f"whole {name}", candidate, gate) for gate in gates.GATES)


def dealt(found: Iterable[Case]) -> list[list[Case]]:
    """What to judge one after another, by candidate: a design's points lie far apart, as they share models."""
    by_candidate: dict[tuple[str, str], list[Case]] = {}
    for case in found:
        by_candidate.setdefault((case.name, _at(case)), []).append(case)
    nth: Counter[str] = Counter()
    order: list[tuple[int, list[Case]]] = []
    for (name, _), same in by_candidate.items():
        order.append((nth[name], same))
        nth[name] += 1
    return [same for _, same in sorted(order, key=itemgetter(0))]


def _at(case: Case) -> str:
    return " ".join(f"{k}={v}" for k, v in case.candidate.own_point().items())


def judged(same: list[Case], until: float) -> list[tuple[str, str]]:
    """(gate, why it refused) of each that was begun before `until`, in seconds of the monotonic clock."""
    context: Context = replace(gate_context(read_spec(SPEC)), clock_ns=None, area_limit_um2=None, power_limit_mw=None)
    said = []
    for case in same:
        if time.monotonic() < until:
            asked = replace(context, clock_ns=CLOCK_NS) if case.gate == "synthesise" else context
            result = gates.judge(case.gate, case.candidate, asked)
            first = next(iter(map(str, result.findings)), "no finding")
            said.append((case.gate, "" if result.passed else f"{case.name} at {_at(case)}: {case.gate}: {first}"))
    return said


def main() -> int:
    """Judge, and print what was refused."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.false_alarms", description=__doc__)
    parser.add_argument("--points", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing after so many")
    parser.add_argument("--block", default="", help="only this one, and no whole designs")
    parser.add_argument("--processes", type=int, default=1, help="candidates judged at once")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    begin, passed, refused = time.monotonic(), Counter[str](), list[str]()
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(arguments.processes) as pool:
        groups = dealt(cases(Path(folder), arguments.points, arguments.block))
        for said in pool.map(judged, groups, [begin + arguments.seconds] * len(groups)):
            for gate, why in said:
                passed[gate] += not why
                if why:
                    refused.append(why)
                    print(f"\n{why}", file=sys.stderr)
            print(f"\r{passed.total()} passed, {len(refused)} refused", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    left = sum(map(len, groups)) - passed.total() - len(refused)
    if arguments.json:
        print(json.dumps({"passed": passed, "refused": refused, "not_judged": left}))
    else:
        print("\n".join([*(f"{gate}: {count} passed" for gate, count in passed.items()), *refused]))
        print(f"{len(refused)} refused, {left} not judged, {time.monotonic() - begin:.0f} s")
    return 1 if refused or left else 0


if __name__ == "__main__":
    sys.exit(main())
