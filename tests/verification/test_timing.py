"""Timing and power of small netlists: what lies between registers, in front of a memory and behind it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hwlib.errors import InputError
from hwlib.tech import Technology, technology
from verification.memory_macros import Macro, macros_of
from verification.timing import Report, measure

MEMORY = "sram_1r1w #(.WIDTH(32'd8), .DEPTH(32'd4), .GRAIN(32'd8))"


@pytest.fixture(scope="module")
def osu() -> Technology:
    return technology("osu018")


def chain(inverters: int) -> str:
    """Two registers with so many inverters between them."""
    wires = [f"w{n}" for n in range(inverters + 1)]
    cells = [f"  INVX1 i{n} ( .A({wires[n]}), .Y({wires[n + 1]}) );" for n in range(inverters)]
    return "\n".join(
        ["module top(clk, d, q);", "  input clk;", "  input d;", "  output q;", *[f"  wire {w};" for w in wires],
         "  DFFPOSX1 first ( .CLK(clk), .D(d), .Q(w0) );", *cells,
         f"  DFFPOSX1 last ( .CLK(clk), .D({wires[-1]}), .Q(q) );", "endmodule"]
    )  # fmt: skip


def measured(netlist: str, osu: Technology, clock_ns: float = 10.0, macros: Sequence[Macro] = ()) -> Report:
    return measure(netlist, "top", osu, clock_ns, macros)


def test_the_period_is_the_longest_path_whatever_the_clock(osu: Technology) -> None:
    short, long = measured(chain(2), osu), measured(chain(12), osu)
    assert 0 < short.min_period_ns < long.min_period_ns
    assert (long.path.start, long.path.end) == ("first", "last")
    assert [cell for _, cell, _ in long.path.points].count("INVX1") == 12
    times = [time for _, _, time in long.path.points]
    assert times == sorted(times)
    assert long.path.delay_ns == pytest.approx(times[-1])
    fast = measured(chain(12), osu, clock_ns=0.2)
    assert fast.min_period_ns == pytest.approx(long.min_period_ns, abs=2e-3)
    assert fast.power_mw == pytest.approx(long.power_mw, rel=0.05)


def test_a_memory_answers_after_its_access_time_and_wants_its_set_up(osu: Technology) -> None:
    ports = ".clk(clk), .read_en(a), .read_addr(r), .write_en(a), .write_addr(r), .write_data(x), .write_strb(a)"
    text = f"""module top(clk, d, q);
  input clk;
  input d;
  output q;
  wire a;
  wire [1:0] r;
  wire [7:0] x;
  wire [7:0] y;
  DFFPOSX1 f0 ( .CLK(clk), .D(d), .Q(a) );
  DFFPOSX1 f1 ( .CLK(clk), .D(d), .Q(r[0]) );
  DFFPOSX1 f2 ( .CLK(clk), .D(d), .Q(r[1]) );
  assign {{ x }} = {{ r, r, r, r }};
  {MEMORY} memory ( {ports}, .read_data(y) );
  INVX1 i ( .A(y[7]), .Y(q) );
endmodule
"""
    netlist, found = macros_of(text)
    macros = [macro for macro, _ in found.values()]
    assert macros == [Macro(8, 4, 8)]
    report = measured(netlist, osu, macros=macros)
    assert report.path.start == "memory"
    assert osu.sram_access_ns < report.min_period_ns < osu.sram_access_ns + 1


def test_what_opensta_cannot_read_is_one_line(osu: Technology) -> None:
    with pytest.raises(InputError) as caught:
        measured("module top(clk;\nendmodule\n", osu)
    assert caught.value.where == "OpenSTA"
    assert "\n" not in str(caught.value)
