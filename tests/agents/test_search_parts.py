"""Parts of the search designer: cost model, mixing, parameter space, reviewers' constraints."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.constraints import Constraints
from agents.cost import HOPE, Choice, CostModel, depth, size
from agents.designers import BlockCost, Candidate, WorkOrder
from agents.designers.library import TemplateLibrary
from agents.designers.space import Space
from agents.mix import mixes
from hwlib import contracts, templates
from hwlib.errors import InputError
from hwlib.spec import Budgets
from tests.agents.stand_in import SPEC, ToyEvaluator

SPACE = Space(SPEC, ToyEvaluator(SPEC))
POINT = SPACE.point((4, 4)) or {}


def candidate(block: str, variant: str, area: float, parameters: dict[str, int] = POINT) -> Candidate:
    order = WorkOrder(1, block, variant)
    return Candidate(order, parameters, {}, True, (), BlockCost(area, 5.0, 1.0), 1)


def test_a_measured_block_is_predicted_as_measured() -> None:
    model = CostModel([candidate("array", "plain", 1000.0)])
    assert model.predict(Choice("array", "plain"), POINT) == BlockCost(1000.0, 5.0, 1.0)
    assert model.measured(Choice("array", "plain"), POINT)


def test_an_unmeasured_variant_is_hoped_to_be_better() -> None:
    model = CostModel([candidate("array", "plain", 1000.0)])
    assert model.predict(Choice("array", "quick"), POINT).area_um2 == pytest.approx(1000.0 * HOPE)


def test_a_block_is_scaled_from_the_nearest_point() -> None:
    small = SPACE.point((2, 8)) or {}
    model = CostModel([candidate("array", "plain", 1000.0), candidate("array", "plain", 300.0, small)])
    near = SPACE.point((2, 4)) or {}
    expected = 300.0 * size("array", near) / size("array", small)
    assert model.predict(Choice("array", "plain"), near).area_um2 == pytest.approx(expected)


@pytest.mark.parametrize("block", contracts.names())
def test_every_block_has_a_size_that_grows_with_the_design(block: str) -> None:
    large = POINT | {"T": 8, "D": 8, "WORDS": POINT["WORDS"] * 8, "QUEUE": 8, "ACT_LANES": 4, "ACT_TABLES": 4}
    assert size(block, large) >= size(block, POINT) > 0
    assert depth(block, large) >= depth(block, POINT) > 0


costs = st.tuples(st.integers(1, 9), st.integers(1, 5)).map(lambda c: BlockCost(float(c[0]), float(c[1]), 0.0))


@given(st.dictionaries(st.sampled_from("abcd"), st.lists(costs, min_size=1, max_size=4), min_size=1))
def test_the_best_mix_is_as_good_as_trying_all(offers: dict[str, list[BlockCost]]) -> None:
    def value(mix: tuple[BlockCost, ...]) -> float:
        return sum(cost.area_um2 for cost in mix) * max(cost.period_ns for cost in mix)

    named = {block: [(str(i), cost) for i, cost in enumerate(offered)] for block, offered in offers.items()}
    found = min(value(tuple(cost for _, cost in mix.values())) for mix in mixes(named, thrifty=False))
    assert found == min(value(mix) for mix in itertools.product(*offers.values()))


def test_there_is_no_mix_without_an_offer_for_every_block() -> None:
    assert list(mixes({"a": [("x", BlockCost(1, 1))], "b": []}, thrifty=False)) == []


def test_shapes_keep_the_mac_budget_and_the_bus() -> None:
    for t, d in SPACE.shapes:
        assert t * t * d <= SPEC.budgets.macs_per_cycle
        assert t * d >= SPEC.memory.axi_bytes


def test_memories_are_the_smallest_that_fit() -> None:
    evaluator = ToyEvaluator(SPEC)
    for shape in SPACE.shapes:
        point = SPACE.point(shape)
        assert point is not None
        for name in ("WORDS", "MATRIX_PARAMS"):
            halved = point | {name: point[name] // 2}
            assert SPACE.cycles(halved) is None
    assert evaluator.calls == 0


def test_a_point_outside_the_scratchpad_budget_is_none() -> None:
    assert SPACE.point((4, 4), room=64) is None


def test_a_workload_that_fits_nothing_is_a_clear_error() -> None:
    spec = SPEC.model_copy(update={"budgets": Budgets(macs_per_cycle=64, scratchpad_kib=1)})
    space = Space(spec, ToyEvaluator(spec))
    with pytest.raises(InputError, match=r"toy: workload digits-vit fits no design in these budgets; raise"):
        _ = space.default_shape


CHOICES = {block: Choice(block, "plain") for block in contracts.names()}


@pytest.mark.parametrize(
    ("reason", "permitted"),
    [
        ("T <= 4", True), ("T<=2", False), ("keep D >= 8, please", False), ("QUEUE = 4", True),
        ("avoid array plain", False), ("no softmax: plain", False), ("avoid array quick", True),
        ("I do not like it", True), ("Z <= 1", True),
    ],
)  # fmt: skip
def test_a_reason_constrains(reason: str, permitted: bool) -> None:
    assert Constraints.read([("abc", reason)], []).permit(POINT, CHOICES) is permitted


def test_the_rejected_design_itself_is_never_permitted() -> None:
    from tests.agents.test_records import revision

    rejected = replace(revision(), revision="abc", parameters=POINT, variants=dict.fromkeys(contracts.names(), "plain"))
    rule = Constraints.read([("abc", "ugly")], [rejected])
    assert not rule.permit(POINT, CHOICES)
    assert rule.permit(POINT, CHOICES | {"array": Choice("array", "quick")})
    assert rule.permit(POINT | {"QUEUE": 2}, CHOICES)


@pytest.mark.parametrize("block", templates.blocks())
def test_the_library_offers_every_template_and_its_options_default_first(block: str) -> None:
    library = TemplateLibrary()
    choices = library.choices(block)
    assert len(set(choices)) == len(choices)
    default = templates.defaults()[block]
    assert choices[0].variant == default.variant
    assert f"{block}.v" in library.render(choices[0])
    assert library.render(choices[0]) == templates.render(block, *default)
