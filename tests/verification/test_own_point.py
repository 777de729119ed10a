"""Blocks are judged at the parameters they have in the design, too: what is wrong only there does not pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hwlib import contracts
from hwlib.design import Design, block_parameters, with_parameters
from tests.verification.conftest import expert_text
from verification import gates
from verification.evidence import Evidence
from verification.gates import Candidate, Context, lint, policy, simulate
from verification.simulate import SIMULATORS

Make = Callable[[dict[str, str]], Design]
BLOCK = "eltwise"
LANE_INPUT = ".x_b(x_b[8*r +: 8]),"
WRONG_ABOVE = ".x_b((r >= 4 && x_b[8*r +: 8] == 8'h80) ? 8'h81 : x_b[8*r +: 8]),"
"""In lanes that no bench point has, -128 is taken for -127."""
SHAPE = {"T": 8, "D": 1}


@pytest.fixture
def flawed(spoiled: Make) -> Design:
    design = spoiled({f"{BLOCK}.v": expert_text(f"{BLOCK}.v", (LANE_INPUT, WRONG_ABOVE))})
    return with_parameters(design, **SHAPE)


def test_a_fault_in_lanes_only_the_design_has_is_refused(flawed: Design) -> None:
    context = Context(transactions=300, simulators=("verilator",))
    result = simulate.run(Candidate(flawed, BLOCK), context)
    assert not result.passed
    assert all("at T=8" in finding.message for finding in result.findings), [str(f) for f in result.findings]


def test_at_other_parameters_the_same_text_is_sound_and_its_evidence_another(flawed: Design, tmp_path: Path) -> None:
    """So a verdict at one shape must not serve another."""
    small, context, evidence = with_parameters(flawed, T=4, D=4), Context(), Evidence(tmp_path)
    for name in ("policy", "lint", "sealed", "simulate"):
        gate = gates.gate(name)
        keys = [evidence.key(gate, Candidate(design, BLOCK), context) for design in (small, flawed)]
        assert keys[0] != keys[1], name
    deeper = with_parameters(flawed, WORDS=2 * flawed.manifest.parameters["WORDS"])
    assert evidence.key(gate, Candidate(deeper, BLOCK), context) == keys[1]


UNUSED_ABOVE = """
    generate
        if (T > 4) begin : above
            wire idle = x_valid;
        end
    endgenerate
"""


def test_lint_sees_what_only_the_design_elaborates(spoiled: Make) -> None:
    design = spoiled({f"{BLOCK}.v": expert_text(f"{BLOCK}.v", ("\nendmodule", f"{UNUSED_ABOVE}\nendmodule"))})
    assert lint.run(Candidate(design, BLOCK), Context()).passed
    result = lint.run(Candidate(with_parameters(design, **SHAPE), BLOCK), Context())
    assert any("UNUSED" in finding.message for finding in result.findings)


@pytest.mark.parametrize("gate", gates.BLOCK_GATES)
def test_a_block_without_its_file_gets_one_clear_line(gate: str, expert: Design) -> None:
    rest = replace(expert, rtl=tuple(path for path in expert.rtl if path.name != f"{BLOCK}.v"))
    result = gates.gate(gate).run(Candidate(rest, BLOCK), Context())
    assert [str(finding) for finding in result.findings] == [f"{BLOCK}: no file {BLOCK}.v"]
    whole = lint.run(Candidate(rest), Context())
    assert [str(finding) for finding in whole.findings] == [f"{BLOCK}: no file {BLOCK}.v"]


def test_policy_sees_a_port_that_is_another_only_in_the_design(spoiled: Make) -> None:
    wide = ("output wire [8*T-1:0] y_high", "output wire [8*T-1 + T/8:0] y_high")
    design = spoiled({f"{BLOCK}.v": expert_text(f"{BLOCK}.v", wide)})
    assert policy.run(Candidate(design, BLOCK), Context()).passed
    result = policy.run(Candidate(with_parameters(design, **SHAPE), BLOCK), Context())
    assert [finding.message for finding in result.findings] == ["port y_high at T=8"]


@pytest.mark.parametrize("block", contracts.names())
def test_the_own_point_is_judged_once(block: str, expert: Design) -> None:
    candidate = Candidate(expert, block)
    points, own = candidate.points(), block_parameters(block, expert.manifest.parameters)
    assert points.count(own) == 1
    assert all(points.count(dict(point)) == 1 for point in contracts.load(block).bench_points)
    assert own.keys() == contracts.load(block).parameters.keys()


@pytest.mark.parametrize(("shape", "simulators"), [({"T": 4, "D": 2}, SIMULATORS), ({"T": 8, "D": 1}, ("verilator",))])
def test_a_large_block_is_run_on_verilator_alone(
    shape: dict[str, int], simulators: tuple[str, ...], expert: Design, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[tuple[dict[str, int], str, int]] = []

    def note(job: simulate._Job, candidate: Candidate, context: Context) -> tuple[list[object], list[object]]:
        runs.append((job.point, job.simulator, job.transactions))
        return [], []

    monkeypatch.setattr(simulate, "_run_job", note)
    candidate = Candidate(with_parameters(expert, **shape), "array")
    simulate.run(candidate, Context(transactions=1000))
    assert {simulator for point, simulator, _ in runs if point == shape} == set(simulators)
    for simulator in SIMULATORS:
        assert sum(count for _, on, count in runs if on == simulator) >= 1000
    runs.clear()
    simulate.run(candidate, replace(Context(), simulators=("icarus",)))
    assert (shape in [point for point, _, _ in runs]) == ("icarus" in simulators)
