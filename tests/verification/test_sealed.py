"""sealed: right where the designer looked is not enough, and what it judges with stays secret."""

from __future__ import annotations

import json
import random
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from hwlib import contracts
from hwlib.design import Design
from tests.verification.conftest import expert_text
from verification.gates import Candidate, Context, sealed
from verification.sealed import secret
from verification.sealed.points import candidates, hidden_points
from verification.sealed.trials import LONG, TRANSACTIONS, trials
from verification.simulate import bench

Make = Callable[[dict[str, str]], Design]
BLOCK = "activation"
OUT = "assign y_data  = done_data;"
ONE = "{{(8*T-1){1'b0}}, 1'b1}"
COUNTER = """
    reg [15:0] taken;
    always @(posedge clk)
        if (!rst_n) taken <= 0;
        else if (y_valid && y_ready) taken <= taken + 16'd1;
"""


def cheat(condition: str, more: str = "") -> dict[str, str]:
    """The expert's activation, whose lowest bit is wrong under `condition`."""
    return {
        f"{BLOCK}.v": expert_text(
            f"{BLOCK}.v", (OUT, f"{more}assign y_data = ({condition}) ? done_data ^ {ONE} : done_data;")
        )
    }


@pytest.fixture(autouse=True)
def own_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A seed of its own for each test, the same in each run."""
    folder = tmp_path / "seeds"
    folder.mkdir()
    monkeypatch.setattr(secret, "_folder", lambda: folder)
    monkeypatch.setattr(secret.secrets, "randbits", random.Random(1).getrandbits)
    return folder


def test_the_expert_passes_and_enough_is_compared(expert: Design) -> None:
    result = sealed.run(Candidate(expert, BLOCK), Context(jobs=1))
    assert result.passed, [str(f) for f in result.findings]
    assert result.metrics["points"] == 2
    assert result.metrics["transfers"] > LONG + TRANSACTIONS


def test_right_at_the_public_points_only_is_refused(spoiled: Make, own_seeds: Path) -> None:
    result = sealed.run(Candidate(spoiled(cheat("TABLES != 2")), BLOCK), Context(jobs=1))
    assert [finding.message.split(" at ")[0] for finding in result.findings] == ["wrong value"]
    found = result.findings[0]
    assert found.vector
    assert found.expected != found.got
    seed = next(own_seeds.iterdir()).read_text()
    assert seed not in json.dumps(result.to_data())


def test_right_for_a_while_only_is_refused(spoiled: Make) -> None:
    result = sealed.run(Candidate(spoiled(cheat("taken > 700", COUNTER)), BLOCK), Context(jobs=1))
    assert len(result.findings) == 1
    assert result.findings[0].message.startswith("wrong value in a long run only at ")


def test_what_does_not_build_elsewhere_is_refused(spoiled: Make) -> None:
    text = expert_text(
        f"{BLOCK}.v", ("\nendmodule", "\n    generate if (TABLES != 2) missing m (); endgenerate\nendmodule")
    )
    result = sealed.run(Candidate(spoiled({f"{BLOCK}.v": text}), BLOCK), Context(jobs=1))
    assert len(result.findings) == 1
    assert result.findings[0].message.startswith("does not build at ")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (("done      <= pass || finishing;", "done      <= TABLES == 2 && (pass || finishing);"), "hang"),
        (("assign y_valid = done;", "assign y_valid = done && (TABLES == 2 || y_ready || !x_valid);"), "protocol"),
    ],
)
def test_a_failure_has_a_class(change: tuple[str, str], kind: str, spoiled: Make) -> None:
    result = sealed.run(Candidate(spoiled({f"{BLOCK}.v": expert_text(f"{BLOCK}.v", change)}), BLOCK), Context(jobs=1))
    assert [finding.message.split(" ")[0] for finding in result.findings] == [kind]


def test_a_seed_is_fresh_for_new_content_and_kept_for_the_same(own_seeds: Path) -> None:
    one, other = secret.seed_of("a" * 64), secret.seed_of("b" * 64)
    assert one != other
    assert secret.seed_of("a" * 64) == one
    assert {stat.S_IMODE(path.stat().st_mode) for path in own_seeds.iterdir()} == {0o600}
    (own_seeds / ("a" * 64)).write_text("damaged")
    assert secret.seed_of("a" * 64) != one


@pytest.mark.parametrize("block", contracts.names()[:-1])
def test_sealed_points_are_legal_and_never_public(block: str) -> None:
    public = contracts.load(block).bench_points
    assert len([point for point in candidates(block) if point not in public]) >= 2
    for seed in range(20):
        points = hidden_points(block, public, random.Random(seed), 2)
        assert len(points) == 2
        assert not any(point in public for point in points)
        for point in points:
            contracts.load(block).check(point)
            assert point.keys() == contracts.load(block).parameters.keys()


def test_trials_follow_from_the_seed_alone() -> None:
    def drawn(seed: int) -> list[tuple[object, ...]]:
        return [
            (t.point, s.name, s.seed, s.reset_after, s.max_cycles)
            for t in trials(BLOCK, bench(BLOCK), [], seed)
            for s in t.scenarios
        ]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert any(name.startswith("long") for _, name, *_ in drawn(1))
