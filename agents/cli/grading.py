"""The command that grades the benches: mutants."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agents.cli.designs import DESIGN_HELP, Set, design_at
from agents.cli.output import Json, print_json, show
from agents.cli.seeds import BenchSeed
from hwlib.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from verification.mutation_score import Score

BAR = 0.95


def mutants(
    design: Annotated[str, typer.Argument(help=DESIGN_HELP)],
    changes: Set = None,
    block: Annotated[
        list[str] | None, typer.Option(help="Only this block; repeat for more. Default: all with a bench.")
    ] = None,
    count: Annotated[int, typer.Option(help="Faults a block, sampled evenly over its netlist.")] = 100,
    seed: BenchSeed = 1,
    prove: Annotated[bool, typer.Option(help="Try to prove survivors equivalent.")] = True,
    record: Annotated[
        bool, typer.Option("--record", help="Write the scores into the table that verdicts show.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Plant faults in the blocks of DESIGN and count those the public benches find. Exit 1 below 95 % of a block's
    faults not proved equivalent, on the quick budget of 60 transactions."""
    from hwlib import contracts
    from verification import mutation_score

    known = [name for name in contracts.names() if name != "top"]
    for name in block or []:
        if name not in known:
            raise InputError(f"no block '{name}'", "--block", f"blocks: {', '.join(known)}")
    found = design_at(design, changes)
    scores = [mutation_score.measure(found, b, count, seed, prove, _report) for b in block or known]
    if record:
        mutation_score.record(scores)
    if as_json:
        print_json("mutants", {"design": design, "tree_hash": found.tree_hash, "bar": BAR,
                               "blocks": [score.to_data() for score in scores]})  # fmt: skip
    else:
        show(_table(scores))
        for line in (f"{s.block}: {one.fate}: {one.fault}" for s in scores for one in s.survivors):
            print(line)  # not folded: lines are to be searched
    return 0 if all(score.quick_share >= BAR for score in scores) else 1


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _table(scores: list[Score]) -> Table:
    from rich.table import Table

    table = Table("block", "mutants", "killed, quick", "equivalent", "score", "killed, full", "score, full", "seconds")
    for s in scores:
        table.add_row(s.block, str(s.mutants), str(s.killed), str(s.equivalent), f"{s.quick_share:.1%}", str(s.full),
                      f"{s.full_share:.1%}", f"{s.seconds:.0f}")  # fmt: skip
    return table
