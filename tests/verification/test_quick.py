"""The quick verdict: what an edit in progress is tried with."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwlib.design import Design
from hwlib.errors import InputError
from tests.verification.test_gates import BLOCK, Make, wrong
from verification import gates
from verification.evidence import Evidence
from verification.gates import Candidate, Context

CONTEXT = Context(transactions=20)


def test_a_good_block_passes_at_the_designs_own_point_alone(expert: Design, tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    results = gates.quick_verdict(Candidate(expert, BLOCK), CONTEXT, evidence)
    assert [(r.gate, r.passed, r.reused) for r in results] == [(g, True, False) for g in gates.QUICK_GATES]
    assert "--quick" in results[-1].replay
    again = gates.quick_verdict(Candidate(expert, BLOCK), CONTEXT, evidence)
    assert all(r.reused for r in again)
    whole = gates.judge("simulate", Candidate(expert, BLOCK), CONTEXT, evidence)
    assert not whole.reused
    assert whole.metrics["runs"] > results[-1].metrics["runs"]


@pytest.mark.parametrize("gate", gates.QUICK_GATES)
def test_the_first_refusal_is_the_last_result(gate: str, spoiled: Make, tmp_path: Path) -> None:
    results = gates.quick_verdict(Candidate(spoiled(wrong(gate)), BLOCK), CONTEXT, Evidence(tmp_path))
    assert [r.passed for r in results] == [True] * gates.QUICK_GATES.index(gate) + [False]
    assert results[-1].gate == gate
    assert results[-1].findings


def test_a_whole_design_has_no_quick_verdict(expert: Design, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a quick verdict is of one block"):
        gates.quick_verdict(Candidate(expert), CONTEXT, Evidence(tmp_path))
