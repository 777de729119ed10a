"""The commands that grade the benches: mutants, coverage."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agents.cli.designs import DESIGN_HELP, Set, design_at
from agents.cli.output import Json, print_json, show
from agents.cli.seeds import BenchSeed
from hwlib.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from verification.mutation_score import Score

BAR, GATES_BAR = 0.95, 0.99


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
    """Plant faults in the blocks of DESIGN and count those found: by the public benches on the quick budget of 60
    transactions, and by the gates simulate (1,000), sealed and prove together.

    Faults proved without effect under inputs the contract allows are left out, and so are those that a person holds to
    be so without a proof, which are listed with the reason; the least shares count these as missed. Exit 1 below 95 %
    and 99 % of a block's faults.
    """
    from verification import mutation_score, mutation_table

    found = design_at(design, changes)
    scores = [mutation_score.measure(found, b, count, seed, prove, _report) for b in _blocks(block)]
    if record:
        mutation_table.record(scores)
    if as_json:
        print_json("mutants", {"design": design, "tree_hash": found.tree_hash, "bar": BAR, "gates_bar": GATES_BAR,
                               "blocks": [score.to_data() for score in scores]})  # fmt: skip
    else:
        show(_table(scores))
        for score in scores:
            for one in score.survivors:
                why = f" ({one.reason})" if one.reason else ""
                print(f"{score.block}: {one.fate}: {one.fault}{why}")  # not folded: lines are to be searched
    return 0 if all(score.quick_share >= BAR and score.gates_share >= GATES_BAR for score in scores) else 1


def coverage(
    design: Annotated[str, typer.Argument(help=DESIGN_HELP)],
    changes: Set = None,
    block: Annotated[
        list[str] | None, typer.Option(help="Only this block; repeat for more. Default: all with a bench.")
    ] = None,
    transactions: Annotated[int, typer.Option(help="At least so many compared a block, over its bench points.")] = 1000,
    seed: BenchSeed = 1,
    missed: Annotated[bool, typer.Option("--missed", help="List the lines, bins and bits never met.")] = False,
    as_json: Json = False,
) -> int:
    """Run the public benches on the blocks of DESIGN in Verilator and report what they cover: executed lines and
    branches, bits toggled up and down, and the bins of the blocks' contracts."""
    from verification import line_coverage

    if transactions < 1:
        raise InputError(f"{transactions} transactions", "--transactions", "give at least 1")
    found = design_at(design, changes)
    covered = []
    for name in _blocks(block):
        covered.append(line_coverage.measure(found, name, transactions, seed).to_data())
        _report(f"{name}: measured")
    if as_json:
        print_json("coverage", {"design": design, "tree_hash": found.tree_hash, "blocks": covered})
        return 0
    show(_coverage_table(covered))
    for data in covered if missed else []:
        for line in (*data["bins_missed"], *data["lines_missed"], *data["toggles_missed"]):
            print(f"{data['block']}: {line}")
    return 0


def _blocks(asked: list[str] | None) -> list[str]:
    """The blocks asked for, all with a bench if none; InputError for one without."""
    from hwlib import contracts

    known = [name for name in contracts.names() if name != "top"]
    for name in asked or []:
        if name not in known:
            raise InputError(f"no block '{name}'", "--block", f"blocks: {', '.join(known)}")
    return asked or known


def _coverage_table(covered: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table("block", "lines", "met", "bit toggles", "met", "bins", "met")
    for data in covered:
        cells = [(str(data[f"{kind}s"]), f"{data[f'{kind}_share']:.1%}") for kind in ("line", "toggle", "bin")]
        table.add_row(data["block"], *(cell for pair in cells for cell in pair))
    return table


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _table(scores: list[Score]) -> Table:
    from rich.table import Table

    heads = ("block", "mutants", "killed, quick", "killed, gates", "equivalent", "unproved", "open")
    table = Table(*heads, "score, quick", "score, gates", "least, quick", "least, gates", "seconds")
    for s in scores:
        counts = (s.mutants, s.killed, s.found, s.count("equivalent"), s.count("unproved"), s.count("open"))
        shares = (s.quick_share, s.gates_share, *s.least_shares)
        table.add_row(s.block, *map(str, counts), *(f"{x:.1%}" for x in shares), f"{s.seconds:.0f}")
    return table
