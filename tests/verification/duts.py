"""Tiny blocks that behave or misbehave, and the contract and scenario they are driven by."""

from __future__ import annotations

from pathlib import Path

from hwlib.contracts.schema import Contract, Interface, Parameter
from verification.benches.scenario import Accept, Beat, Drive, Mismatch, Observed, Scenario, compare_stream

GOOD_BODY = """
    reg full;
    assign x_ready = !full || y_ready;
    assign y_valid = full;
    always @(posedge clk) begin
        if (!rst_n) full <= 1'b0;
        else if (x_ready) full <= x_valid;
        if (x_valid && x_ready) y_data <= x_data;
    end
"""
"""A one-entry register slice."""


def slice_module(body: str = GOOD_BODY, name: str = "slice") -> str:
    return f"""// {name}: a register slice.
module {name} #(
    parameter W = 8
) (
    input  wire         clk,
    input  wire         rst_n,
    input  wire         x_valid,
    output wire         x_ready,
    input  wire [W-1:0] x_data,
    output wire         y_valid,
    input  wire         y_ready,
    output reg  [W-1:0] y_data
);
{body}
endmodule
"""


def slice_contract() -> Contract:
    stream = {"kind": "stream", "fields": {"data": "W"}, "doc": "data"}
    return Contract(
        block="slice",
        summary="register slice",
        parameters={"W": Parameter(doc="width", min=1, max=4096, default=8)},
        interfaces=[
            Interface.model_validate({"name": "x", "direction": "in"} | stream),
            Interface.model_validate({"name": "y", "direction": "out"} | stream),
        ],
        behaviour="y = x",
        throughput="1",
        latency="1",
        bench_points=[{"W": 8}],
    )


def slice_scenario(width: int = 8, count: int = 60, **changes: object) -> Scenario:
    values = [(index * 0x9E3779B97F4A7C15 + index) % (1 << width) for index in range(count)]
    payloads = [{"data": value} for value in values]
    vectors = [f"x {index}: {value:x}" for index, value in enumerate(values)]

    def judge(seen: Observed) -> list[Mismatch]:
        return compare_stream("y", seen.transfers["y"], payloads, vectors)

    settings: dict[str, object] = {
        "name": "order",
        "agents": (Drive("x", [Beat(p) for p in payloads], gap=0.3), Accept("y", stall=0.5)),
        "until": {"y": count},
        "judge": judge,
        "transactions": count,
        "max_cycles": 20 * count,
        "seed": 3,
    }
    return Scenario(**(settings | changes))  # type: ignore[arg-type]


def write(folder: Path, text: str, name: str = "slice") -> Path:
    path = folder / f"{name}.v"
    path.write_text(text)
    return path
