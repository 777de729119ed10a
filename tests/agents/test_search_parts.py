"""Parts of the search designer: cost model, mixing, parameter space, reviewers' constraints."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.constraints import Constraints
from agents.cost import Choice, CostModel, depth, size
from agents.designers import BlockCost, Candidate, WorkOrder
from agents.designers.library import TemplateLibrary
from agents.designers.search import sampler_seed
from agents.designers.space import Space
from agents.mix import mixes
from hwlib import contracts, templates
from hwlib.errors import InputError
from hwlib.spec import Budgets
from tests.agents.stand_in import SPEC, ToyEvaluator

SPACE = Space(SPEC, ToyEvaluator(SPEC).model_cycles)
POINT = SPACE.point((4, 4)) or {}


def candidate(block: str, variant: str, area: float, options: dict[str, int | str] | None = None) -> Candidate:
    order = WorkOrder(1, block, variant, options or {})
    return Candidate(order, POINT, {}, True, (), BlockCost(area, 5.0, 1.0), 1)


def test_a_measured_block_is_predicted_as_measured() -> None:
    model = CostModel([candidate("array", "plain", 1000.0)])
    assert model.predict(Choice("array", "plain"), POINT) == BlockCost(1000.0, 5.0, 1.0)
    assert model.measured(Choice("array", "plain"), POINT)
    assert model.measured(Choice("array", "plain"), POINT | {"QUEUE": 8})
    assert not model.measured(Choice("array", "plain"), POINT | {"T": 8})


def test_an_unmeasured_variant_is_hoped_to_be_better() -> None:
    model = CostModel([candidate("array", "plain", 1000.0)])
    hoped = model.predict(Choice("array", "quick"), POINT)
    assert hoped.area_um2 < 900.0
    assert hoped.period_ns < 4.5
    assert model.predict(Choice("array", "quick"), POINT, caution=0.0).area_um2 == pytest.approx(1000.0)


def test_hope_is_less_for_what_is_like_something_measured() -> None:
    model = CostModel([candidate("array", "tree", 1000.0, options={"a": 0, "b": 0, "c": 0})])
    one, all_ = (Choice("array", "tree", (("a", 1), ("b", b), ("c", b))) for b in (0, 1))
    assert model.predict(all_, POINT).area_um2 < model.predict(one, POINT).area_um2 < 1000.0


def test_believing_a_choice_takes_the_hope_from_those_like_it() -> None:
    model = CostModel([candidate("array", "plain", 1000.0)])
    two = [Choice("array", "tree", (("a", a),)) for a in (0, 1)]
    before = model.predict(two[1], POINT).area_um2
    assert before < model.believing(two[0], POINT).predict(two[1], POINT).area_um2 < 1000.0


def test_options_that_helped_before_are_expected_to_help_again() -> None:
    seen = [({"a": 0, "b": 0}, 1000.0), ({"a": 1, "b": 0}, 500.0)]
    model = CostModel([candidate("array", "tree", area, options=options) for options, area in seen])
    worse, better = (Choice("array", "tree", (("a", a), ("b", 1))) for a in (0, 1))
    expected = [model.predict(choice, POINT, caution=0.0).area_um2 for choice in (better, worse)]
    assert expected[0] < 0.9 * expected[1]


def test_a_block_is_scaled_to_another_point() -> None:
    small = SPACE.point((2, 8)) or {}
    model = CostModel([candidate("array", "plain", 1000.0)])
    expected = 1000.0 * size("array", small) / size("array", POINT)
    found = model.predict(Choice("array", "plain"), small, caution=0.0).area_um2
    assert found == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("block", contracts.names())
def test_every_block_has_a_size_that_grows_with_the_design(block: str) -> None:
    large = POINT | {"T": 8, "D": 8, "WORDS": POINT["WORDS"] * 8, "QUEUE": 8, "ACT_LANES": 4, "ACT_TABLES": 4}
    assert size(block, large) >= size(block, POINT) > 0
    assert depth(block, large) >= depth(block, POINT) > 0


MEASURED = {
    "norm": {(4, 4): 867_193, (8, 1): 1_667_423, (16, 1): 3_267_938},
    "eltwise": {(4, 2): 674_452, (8, 1): 1_304_732, (16, 1): 2_565_360},
    "vector_unit": {(4, 4): 429_319, (8, 1): 367_411, (16, 1): 614_131, (8, 4): 745_686, (4, 16): 948_269},
}
"""Area of the expert's blocks in osu018, um2, without the blocks below them, by T and D."""


@pytest.mark.parametrize("block", MEASURED)
def test_sizes_grow_as_measured_areas_do(block: str) -> None:
    base = {name: p.default for name, p in contracts.load("top").parameters.items()}
    ratios = [
        area / size(block, base | {"T": t, "D": d, "VECTOR_PARAMS": 512}) for (t, d), area in MEASURED[block].items()
    ]
    assert ratios == pytest.approx([133.0] * len(ratios), rel=0.12)


costs = st.tuples(st.integers(1, 9), st.integers(1, 5)).map(lambda c: BlockCost(float(c[0]), float(c[1]), 0.0))


@given(st.dictionaries(st.sampled_from("abcd"), st.lists(costs, min_size=1, max_size=4), min_size=1))
def test_the_best_mix_is_as_good_as_trying_all(offers: dict[str, list[BlockCost]]) -> None:
    def value(mix: tuple[BlockCost, ...]) -> float:
        return sum(cost.area_um2 for cost in mix) * max(cost.period_ns for cost in mix)

    named = {block: [(str(i), cost) for i, cost in enumerate(offered)] for block, offered in offers.items()}
    found = min(value(tuple(cost for _, cost in mix.values())) for mix in mixes(named, sparing=False))
    assert found == min(value(mix) for mix in itertools.product(*offers.values()))


def test_there_is_no_mix_without_an_offer_for_every_block() -> None:
    assert list(mixes({"a": [("x", BlockCost(1, 1))], "b": []}, sparing=False)) == []


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
    space = Space(spec, ToyEvaluator(spec).model_cycles)
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


@pytest.mark.parametrize(
    ("reason", "described"),
    [
        ("T<=4 and T <= 4, avoid Array plain; no norm: quick", ("T <= 4", "avoid array plain", "avoid norm quick")),
        ("I do not like it", ()), ("Z <= 1", ()), ("", ()),
    ],
)  # fmt: skip
def test_what_was_understood_is_said(reason: str, described: tuple[str, ...]) -> None:
    assert Constraints.read([("abc", reason)], []).described == described


def test_samplers_of_neighbouring_campaigns_and_rounds_differ() -> None:
    seeds = {sampler_seed(seed, round_) for seed in (0, 1, 2, 2**31 - 1) for round_ in range(1001)}
    assert len(seeds) == 4 * 1001
    assert all(0 <= seed < 2**32 for seed in seeds)


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
