"""The driver sees what a block does on its ports: every way to break a stream must show."""

from __future__ import annotations

from pathlib import Path

import cocotb_tools.config
import pytest

from hwlib.contracts.schema import Interface
from tests.verification.duts import GOOD_BODY, slice_contract, slice_module, slice_scenario, write
from verification.benches.scenario import AxiMemory, Scenario
from verification.simulate import ScenarioResult, Simulator, run_environment, simulate

SIMULATORS: tuple[Simulator, ...] = ("icarus", "verilator")


def run(
    folder: Path, body: str, *scenarios: Scenario, simulator: Simulator = "icarus", width: int = 8
) -> list[ScenarioResult]:
    path = write(folder, slice_module(body))
    return simulate("slice", [path], {"W": width}, scenarios, simulator, contract=slice_contract())


# Each replaces text of GOOD_BODY; `n` counts beats taken in, `odd` is true at every eighth.
COUNT = """
    reg [2:0] n;
    wire odd = n == 3'd7;
    always @(posedge clk) begin
        if (!rst_n) n <= 3'd0;
        else if (x_valid && x_ready) n <= n + 3'd1;
    end
"""
FAULTS = {
    "drops a beat": (("full <= x_valid;", "full <= x_valid && !odd;"), "y beat 7"),
    "repeats a beat": (("else if (x_ready) full", "else if (x_ready && !(full && odd && !twice)) full"), "y beat"),
    "payload of another beat": (("y_data <= x_data;", "y_data <= odd ? ~x_data : x_data;"), "y beat 7"),
    "payload changes while stalled": (
        (
            "if (x_valid && x_ready) y_data <= x_data;",
            "if (x_valid && x_ready) y_data <= x_data; else if (full && !y_ready && odd) y_data <= ~y_data;",
        ),
        "y: data changed while valid waited for ready",
    ),
    "valid withdrawn": (
        (
            "assign y_valid = full;",
            "reg [1:0] w; always @(posedge clk) w <= rst_n ? w + 2'd1 : 2'd0; assign y_valid = full && w != 2'd3;",
        ),
        "y: valid was withdrawn before ready",
    ),
    "payload X while valid": (
        ("y_data <= x_data;", "y_data <= odd ? 8'bx : x_data;"),
        "y: data has X bits while valid",
    ),
    "valid X out of reset": (("if (!rst_n) full <= 1'b0;\n        else if", "if"), "x: ready is X while valid"),
    "goes quiet": (("y_valid = full;", "y_valid = full && !dead;"), "got nothing"),
    "reads without valid": (("if (x_valid && x_ready) y_data", "if (x_ready) y_data"), ""),
    "a surplus beat at the end": (
        ("else if (x_ready) full <= x_valid;", "else if (x_ready) full <= x_valid || idle == 5'd31;"),
        "y beat 60",
    ),
}


def faulty(name: str) -> str:
    (old, new), _ = FAULTS[name]
    assert old in GOOD_BODY
    idle = "    reg [4:0] idle;\n    always @(posedge clk) idle <= !rst_n || x_valid ? 5'd0 : idle + 5'd1;\n"
    twice = "    reg twice;\n    always @(posedge clk) twice <= rst_n && full && odd && y_ready && !twice;\n"
    dead = "    reg dead;\n    always @(posedge clk) dead <= rst_n && (dead || (odd && (!full || y_ready)));\n"
    return COUNT + idle + twice + dead + GOOD_BODY.replace(old, new)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_good_block_passes(simulator: Simulator, tmp_path: Path) -> None:
    (result,) = run(tmp_path, GOOD_BODY, slice_scenario(), simulator=simulator)
    assert (result.passed, result.why, result.finished) == (True, "", True)
    assert result.transfers == 120


@pytest.mark.parametrize("name", [name for name in FAULTS if FAULTS[name][1]])
def test_a_fault_is_seen(name: str, tmp_path: Path) -> None:
    (result,) = run(tmp_path, faulty(name), slice_scenario())
    assert not result.passed
    assert FAULTS[name][1] in result.why, result.why


@pytest.mark.parametrize("name", ["drops a beat", "payload changes while stalled"])
def test_verilator_shows_the_same(name: str, tmp_path: Path) -> None:
    """Same stimulus, same block: the same fault in the same cycle."""
    first, second = (run(tmp_path, faulty(name), slice_scenario(), simulator=s)[0] for s in SIMULATORS)
    assert not first.passed
    assert (first.why, first.cycles) == (second.why, second.cycles)


def test_a_mismatch_carries_its_vector(tmp_path: Path) -> None:
    (result,) = run(tmp_path, faulty("payload of another beat"), slice_scenario())
    wrong = result.mismatches[0]
    assert (wrong.interface, wrong.index) == ("y", 7)
    assert int(wrong.expected[-2:], 16) ^ int(wrong.got[-2:], 16) == 0xFF
    assert wrong.vector.startswith("x 7:")
    assert wrong.cycle > 0


def test_a_run_that_compares_too_little_fails(tmp_path: Path) -> None:
    (result,) = run(tmp_path, GOOD_BODY, slice_scenario(transactions=500))
    assert not result.passed
    assert result.why == "only 120 transfers seen of the 500 the scenario compares"


def test_a_block_may_withdraw_where_the_contract_lets_it(tmp_path: Path) -> None:
    body = faulty("valid withdrawn").replace("!full || y_ready", "!full || (y_valid && y_ready)")
    (result,) = run(tmp_path, body, slice_scenario(may_withdraw=("y",)))
    assert result.passed, result.why


def test_a_reset_in_mid_flight_starts_over(tmp_path: Path) -> None:
    kept = GOOD_BODY.replace("if (!rst_n) full <= 1'b0;\n        else if (x_ready)", "if (x_ready && rst_n)")
    once = "    reg was;\n    always @(posedge clk) was <= 1'b1;\n"
    body = once + kept.replace("if (x_ready && rst_n)", "if (was !== 1'b1) full <= 1'b0; else if (x_ready && rst_n)")
    again = slice_scenario(reset_after=("y", 20), drain=5)
    good, bad = run(tmp_path, GOOD_BODY, again)[0], run(tmp_path, body, again)[0]
    assert good.passed, good.why
    assert good.transfers == 120
    assert not bad.passed, "a beat survived the reset"


def test_scenarios_follow_each_other_in_one_run(tmp_path: Path) -> None:
    results = run(tmp_path, GOOD_BODY, slice_scenario(), slice_scenario(count=30, name="second"))
    assert [(r.name, r.passed, r.transfers) for r in results] == [("order", True, 120), ("second", True, 60)]


def test_wide_payloads(tmp_path: Path) -> None:
    (result,) = run(tmp_path, GOOD_BODY, slice_scenario(width=1000), width=1000)
    assert result.passed, result.why


def test_the_stimulus_depends_on_the_seed_alone(tmp_path: Path) -> None:
    one, same, other = run(tmp_path, GOOD_BODY, slice_scenario(), slice_scenario(), slice_scenario(seed=4))
    assert one.observed is not None
    assert same.observed is not None
    assert other.observed is not None
    assert one.observed.transfers == same.observed.transfers != other.observed.transfers


def test_a_simulation_that_ends_itself_fails(tmp_path: Path) -> None:
    body = GOOD_BODY + "\n    always @(posedge clk) if (x_valid && x_data == 8'h16) $finish;\n"
    results = run(tmp_path, body, slice_scenario(), slice_scenario())
    assert [r.passed for r in results] == [False, False]
    assert "ended early" in results[0].why


def stream(name: str, direction: str, **fields: str) -> Interface:
    data = {"name": name, "kind": "stream", "direction": direction, "doc": name, "fields": fields}
    return Interface.model_validate(data)


WRITER = """// writer: writes one AXI burst of two beats at 0x{address:x}.
module writer (
    input  wire        clk,
    input  wire        rst_n,
    output wire        aw_valid,
    input  wire        aw_ready,
    output wire [39:0] aw_addr,
    output wire [7:0]  aw_len,
    output wire        w_valid,
    input  wire        w_ready,
    output wire [63:0] w_data,
    output wire        w_last,
    input  wire        b_valid,
    output wire        b_ready,
    input  wire [1:0]  b_resp
);
    reg       asked;
    reg [1:0] sent;
    assign aw_valid = !asked && {late};
    assign aw_addr  = 40'h{address:x};
    assign aw_len   = 8'd1;
    assign w_valid  = (asked || !({late})) && sent != 2'd2;
    assign w_data   = {{62'h0123, sent}};
    assign w_last   = {last};
    assign b_ready  = 1'b1;
    always @(posedge clk) begin
        if (!rst_n) begin
            asked <= 1'b0;
            sent  <= 2'd0;
        end else begin
            if (aw_valid && aw_ready) asked <= 1'b1;
            if (w_valid && w_ready) sent <= sent + 2'd1;
        end
    end
endmodule
"""


def axi(folder: Path, address: int = 0x100, late: str = "1'b1", last: str = "sent == 2'd1") -> ScenarioResult:
    contract = slice_contract().model_copy(
        update={
            "block": "writer",
            "parameters": {},
            "interfaces": [
                stream("aw", "out", addr="40", len="8"),
                stream("w", "out", data="64", last="1"),
                stream("b", "in", resp="2"),
            ],
        }
    )
    memory = AxiMemory("ram", 8, {0x108: 0xAA}, aw="aw", w="w", b="b")
    scenario = Scenario("burst", (memory,), {"b": 1}, lambda seen: [], transactions=4, max_cycles=200, seed=1)
    path = write(folder, WRITER.format(address=address, late=late, last=last), "writer")
    return simulate("writer", [path], {}, [scenario], contract=contract)[0]


def test_an_axi_memory_takes_a_burst(tmp_path: Path) -> None:
    result = axi(tmp_path)
    assert result.passed, result.why
    assert result.observed is not None
    ram = result.observed.memories["ram"]
    assert bytes(ram[0x100 + n] for n in range(16)) == (0x48C).to_bytes(8, "little") + (0x48D).to_bytes(8, "little")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"address": 0xFF8}, "crosses a 4 KiB boundary"),
        ({"address": 0x104}, "not a multiple of 8"),
        ({"late": "sent != 2'd0"}, "data before its address"),
        ({"last": "1'b1"}, "last is not on the burst's final beat"),
    ],
)
def test_axi_rules_are_checked(change: dict[str, object], words: str, tmp_path: Path) -> None:
    result = axi(tmp_path, **change)  # type: ignore[arg-type]
    assert not result.passed
    assert words in result.why


def test_cocotb_is_entered_where_it_says() -> None:
    """The entry is found without importing cocotb; it must stay the one cocotb names."""
    assert run_environment("array", 1)["GPI_USERS"].endswith(f";{cocotb_tools.config.pygpi_entry_point()}")
