"""The sandbox alone holds: hostile text goes to the tools without the policy gate before them, and reaches nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwlib.design import read_design
from tests.verification.conftest import AtFirstPoint, alive, expert_text
from tests.verification.duts import GOOD_BODY, slice_contract, slice_module, slice_scenario
from tests.verification.hostile.corpus import ELABORATION, TEXT, Case
from tests.verification.hostile.test_refused import BLOCK, design_with
from tests.verification.hostile.traps import Hurried, Traps
from verification.build import BuildFailed
from verification.gates import Context, lint
from verification.simulate import Simulator, simulate

AIMED = {name: case for name, case in (TEXT | ELABORATION).items() if case.tools}
QUICK = ("fopen_write", "fopen_read", "readmemh_secret", "finish", "while_one", "initial_record")
"""On Icarus, under each protection, these are a few seconds; the rest is slow."""
SLOWEST_S = 60


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hurried]:
    watched = Hurried(monkeypatch)
    yield watched
    assert watched.peak_bytes <= watched.memory * 1.1, "the processes held more than their limit"
    assert alive("4712.125") == [], "a process was left behind"


def run_model(case: Case, simulator: Simulator, folder: Path, traps: Traps, hurried: Hurried) -> str:
    """What was said when a register slice with the case's text in it was built and run."""
    text = slice_module(GOOD_BODY + traps.arm(case.body))
    path = folder / "slice.v"
    path.write_text(traps.arm(case.head) + text)
    hurried.seconds, hurried.memory = (20, 1 << 30) if simulator == "verilator" else (5, 500 << 20)
    begin = time.monotonic()
    try:
        results = simulate(
            "slice", [path], {"W": 8}, [slice_scenario()], simulator, seconds=5, contract=slice_contract()
        )
        said = " ".join(result.why for result in results)
    except BuildFailed as error:
        said = f"{error} {error.log}"
    assert time.monotonic() - begin < SLOWEST_S
    return " ".join([said, *(done.output for done in hurried.runs)])


@pytest.mark.parametrize("name", QUICK)
def test_icarus_reaches_nothing(name: str, mechanism: str, tmp_path: Path, hurried: Hurried, traps: Traps) -> None:
    assert traps.sprung(run_model(AIMED[name], "icarus", tmp_path, traps, hurried)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(n for n, case in AIMED.items() if "i" in case.tools and n not in QUICK))
def test_icarus_reaches_nothing_with_the_rest(
    name: str, mechanism: str, tmp_path: Path, hurried: Hurried, traps: Traps
) -> None:
    assert traps.sprung(run_model(AIMED[name], "icarus", tmp_path, traps, hurried)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(n for n, case in AIMED.items() if "v" in case.tools))
def test_verilator_and_its_model_reach_nothing(
    name: str, mechanism: str, tmp_path: Path, hurried: Hurried, traps: Traps
) -> None:
    assert traps.sprung(run_model(AIMED[name], "verilator", tmp_path, traps, hurried)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(n for n, case in AIMED.items() if "y" in case.tools))
def test_the_linters_reach_nothing(name: str, mechanism: str, tmp_path: Path, hurried: Hurried, traps: Traps) -> None:
    case = AIMED[name]
    hurried.seconds, hurried.memory = 15, 1 << 30
    text = expert_text(f"{BLOCK}.v").rpartition("endmodule")[0] + traps.arm(case.body) + "\nendmodule\n"
    folder = design_with(tmp_path / "design", {f"{BLOCK}.v": traps.arm(case.head) + text})
    result = lint.run(AtFirstPoint(read_design(folder), BLOCK), Context())
    assert traps.sprung(*map(str, result.findings), *(done.output for done in hurried.runs)) == []
    assert result.seconds < SLOWEST_S
    assert not result.passed
