"""Comparison: derived figures, wins and losses, unknowns."""

from __future__ import annotations

import pytest

from agents.compare import Comparison, as_data, figures, standings
from agents.similarity import compare_sources
from tests.agents.entries import SETTING, comparison, entry


def test_figures_follow_from_the_measured_ones() -> None:
    found = figures(entry("x"), SETTING)
    assert found["clock_mhz"] == pytest.approx(100.0)
    assert found["latency_us"] == pytest.approx(200.0)
    assert found["spec_latency_us"] == pytest.approx(240.0)
    assert found["energy_pj"] == pytest.approx(100e-3 * 200e-6 * 1e12)
    assert found["gops_per_mm2"] == pytest.approx(2 * 1e6 / 200e-6 / 1e9 / 2.0)
    assert found["area_delay"] == pytest.approx(2.0 * 200.0)


def test_a_design_that_misses_the_spec_clock_has_no_latency_there() -> None:
    assert figures(entry("x", period_ns=12.5), SETTING)["spec_latency_us"] is None


def test_no_power_means_no_energy() -> None:
    found = figures(entry("x", power_mw=None), SETTING)
    assert found["power_mw"] is None
    assert found["energy_pj"] is None
    against = Comparison(SETTING, (entry("x", power_mw=None), entry("expert")))
    assert "power_mw" not in {s.metric.key for s in standings(against)}


def test_losses_show_as_well_as_wins() -> None:
    outcome = {s.metric.key: s.outcome for s in standings(comparison())}
    assert outcome["area_um2"] == "win"
    assert outcome["cycles"] == "loss"
    assert outcome["utilisation"] == "loss"
    assert outcome["period_ns"] == "equal"


def test_the_reference_is_the_last_and_half_a_per_cent_is_a_tie() -> None:
    close = Comparison(SETTING, (entry("x", area_um2=2.008e6), entry("expert")))
    found = {s.metric.key: s for s in standings(close)}
    assert found["area_um2"].outcome == "equal"
    assert found["area_um2"].ratio == pytest.approx(1.004)


def test_verified_needs_every_gate_and_at_least_one() -> None:
    assert entry("x").verified is True
    assert entry("x", gates=()).verified is None


def test_data_names_units() -> None:
    data = as_data(comparison())
    mine = data["designs"][0]
    assert {"area_um2", "period_ns", "power_mw", "cycles", "latency_us", "utilisation", "energy_pj", "verified",
            "cost"} <= mine.keys()  # fmt: skip
    assert data["reference"] == "expert"


def test_a_copied_file_shows_and_an_own_one_does_not() -> None:
    body = "".join(f"assign x{i} = (a{i} & b{i}) ^ c{i} + {i};\n" for i in range(20))
    other = "".join(f"always @* if (p{i}) q{i} = r{i}; else q{i} = s{i} - 1;\n" for i in range(20))
    mine = {"rtl/a.v": f"module a;\n{body}endmodule\n", "rtl/b.v": f"module b;\n{other}endmodule\n"}
    found = compare_sources("mine", "expert", mine, {"rtl/z.v": f"// renamed\nmodule z;\n  {body}endmodule\n"})
    shared = {item.path: item.shared_tokens for item in found.files}
    assert shared["rtl/a.v"] > 0.95
    assert shared["rtl/b.v"] == 0.0
    assert found.files[0].path == "rtl/a.v"
