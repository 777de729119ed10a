"""What a writer is told to aim at."""

from __future__ import annotations

from agents.designers import BlockCost
from agents.records import Figures
from agents.tools.aim import aim
from agents.tools.desk import Built
from tests.agents.test_llm import campaign, order, prompt, swap

WHOLE = Figures(1000, 8, 5, 100, 0.8, 1, 0.5, 3.25)
OTHERS = {"norm": BlockCost(300, 8), "top": BlockCost(100, 3)}


def said(cost: BlockCost | None, others: dict[str, BlockCost], objective: str = "area_delay") -> str:
    return aim("array", Built("c", cost, WHOLE, others), objective)


def test_the_figures_to_better_are_named_with_the_share_of_the_area() -> None:
    text = said(BlockCost(600, 5), OTHERS)
    assert text.startswith("array: area 600 um2, period 5.00 ns\n")
    assert "design: area 1000 um2, period 8.00 ns, 100 cycles, objective (area_delay) 3.25\n" in text
    assert "Of the design's area array is 60.0 %." in text


def test_a_block_that_is_not_the_slowest_is_to_be_smaller() -> None:
    text = said(BlockCost(600, 5), OTHERS)
    assert "Less area always counts. Its period counts only above all others': norm's is 8.00 ns" in text
    assert "Less area" not in said(BlockCost(600, 5), OTHERS, "delay")


def test_the_slowest_block_is_told_how_far_a_shorter_period_counts() -> None:
    text = said(BlockCost(300, 8), {"array": BlockCost(600, 6), "top": BlockCost(100, 3)})
    assert "down to that of array, 6.00 ns, makes the design up to 25.0 % faster" in text


def test_what_other_orders_of_the_round_have_reached_counts_in_place_of_what_it_began_with() -> None:
    built = Built("c", BlockCost(600, 5), WHOLE, OTHERS, {"norm": BlockCost(320, 4)})
    text = aim("array", built, "area_delay")
    assert "norm, written in this round: area 320 um2, period 4.00 ns, where the design has area 300 um2" in text
    assert "It is the slowest block. A period down to that of norm, 4.00 ns" in text


def test_the_period_is_not_spoken_of_where_the_objective_has_none() -> None:
    assert "period counts" not in said(BlockCost(600, 5), OTHERS, "area")
    assert "period counts" not in said(BlockCost(600, 5), {})


def test_the_parameters_a_block_will_have_are_told_and_those_of_the_figures_if_others() -> None:
    script = (order("array", T=2), swap("array", "plain", "quick"))
    with campaign(*script) as (_, server):
        assert "In this design: D=4 T=2.\nWhat follows was measured before the parameters changed, at D=4 T=4." in (
            prompt(server, 1)
        )


def test_what_was_not_measured_is_said_to_be_so() -> None:
    assert aim("array", Built(), "area") == "array: none yet\ndesign: not measured yet"
