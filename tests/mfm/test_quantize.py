"""Post-training quantization: how close the integer graph stays to the float one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from hwlib.errors import InputError
from mfm.compress.integer import IntegerGraph, QConst, QGemm, QInput, execute, execute_all
from mfm.compress.quantize import needed_rows, quantize
from mfm.models.graph import Activation, Add, Attention, AttentionHead, Columns, Float, Gemm, Graph, Input, evaluate
from mfm.program.program import TensorSlot
from tests.mfm.test_importer import tiny_graph


def samples(count: int, seed: int, size: int = 16) -> list[Float]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(0, 1, size) for _ in range(count)]


def quantized(op: QInput, sample: Float) -> np.ndarray:
    return TensorSlot(op.out, 0, op.rows, op.cols, 0, op.scale, 0, op.gather).quantize(sample)


@lru_cache
def integer_graph() -> IntegerGraph:
    return quantize(tiny_graph(), samples(64, 0))


def run(graph: IntegerGraph, sample: Float) -> Float:
    result: Float = execute(graph, {op.out: quantized(op, sample) for op in graph.inputs}) * graph.output_scale
    return result


def test_the_integer_transformer_follows_the_float_one() -> None:
    graph, names = integer_graph(), tiny_graph()
    errors, sizes = [], []
    for sample in samples(40, 1):
        wanted = evaluate(names, sample)[names.output][:1]
        errors.append(run(graph, sample) - wanted)
        sizes.append(wanted)
    noise = np.std(errors) / np.std(sizes)
    assert noise < 0.12, f"noise is {noise:.3f} of the signal"


def test_values_stay_in_int8_and_use_it() -> None:
    graph, largest = integer_graph(), dict[str, int]()
    for sample in samples(20, 2):
        for name, value in execute_all(graph, {op.out: quantized(op, sample) for op in graph.inputs}).items():
            assert -128 <= value.min() <= value.max() <= 127
            largest[name] = max(largest.get(name, 0), int(np.abs(value).max()))
    assert min(largest.values()) > 24, largest


def test_only_rows_that_matter_are_computed() -> None:
    names = tiny_graph()
    need = needed_rows(names)
    assert need[names.output] == 1
    last = [op for op in integer_graph().ops if isinstance(op, QGemm)][-1]
    assert last.rows == 1
    hidden = next(op for op in names.ops if isinstance(op, Activation))
    assert need[hidden.out] == 1
    assert need[next(op for op in names.ops if isinstance(op, Input)).out] == 5


def linear(rows: int = 3, n: int = 5, k: int = 4, seed: int = 0, bias: float = 1.0) -> tuple[Input, Gemm]:
    rng = np.random.default_rng(seed)
    gather = np.arange(rows * k).reshape(rows, k)
    return Input("x", gather), Gemm("y", "x", rows, rng.normal(0, 1, (n, k)), rng.normal(0, bias, n))


@pytest.mark.parametrize("seed", range(5))
def test_a_linear_layer_is_within_its_rounding(seed: int) -> None:
    x, y = linear(seed=seed)
    data = samples(50, seed, 12)
    graph = quantize(Graph("linear", (x, y), "y"), data)
    gemm = next(op for op in graph.ops if isinstance(op, QGemm))
    assert np.abs(gemm.weight).max(axis=1).tolist() == [127] * 5
    scale = graph.inputs[0].scale
    # Half a step of input and of weight a product, and half a step of output, unless the value was clipped.
    steps = np.abs(y.weight).max(axis=1) / 127
    bound = 0.5 * scale * np.abs(y.weight).sum(axis=1) + 0.5 * steps * 4 * 1.05 + 0.51 * graph.output_scale
    for sample in data:
        wanted = evaluate(Graph("linear", (x, y), "y"), sample)["y"]
        inside = np.abs(wanted) < 126 * graph.output_scale
        clipped_input = np.abs(sample.reshape(3, 4)).max(axis=1) > 127 * scale
        error = np.abs(run(graph, sample) - wanted)
        assert (error <= bound)[inside & ~clipped_input[:, None]].all()


def test_constants_and_sums() -> None:
    x, y = linear()
    z = Gemm("z", "x", 3, y.weight[::-1].copy(), y.bias)
    total = Graph("sum", (x, y, z, Add("s", "y", "z", 3)), "s")
    data = samples(30, 3, 12)
    graph = quantize(total, data)
    error = max(float(np.abs(run(graph, s) - evaluate(total, s)["s"]).max()) for s in data)
    assert error < 5 * graph.output_scale
    assert not any(isinstance(op, QConst) for op in graph.ops)


def test_a_gelu_of_no_linear_layer_is_refused() -> None:
    x, _ = linear()
    with pytest.raises(InputError, match="g: GELU does not follow a linear layer"):
        quantize(Graph("bad", (x, Activation("g", "x", 3, "gelu")), "g"), samples(2, 0, 12))


def test_attention_of_no_linear_layer_is_refused() -> None:
    x, y = linear(n=4)
    part = Columns("x", np.arange(4))
    attention = Attention("a", (AttentionHead(part, part, part),), 3, 0.5)
    with pytest.raises(InputError, match="attention reads something other than a linear layer"):
        quantize(Graph("bad", (x, attention, Gemm("y", "a", 3, y.weight, y.bias)), "y"), samples(2, 0, 12))


def test_a_channel_without_weights_gives_its_bias() -> None:
    x, y = linear()
    y.weight[2], y.weight[3] = 0.0, 1e-9
    graph = Graph("dead", (x, y), "y")
    data = samples(10, 0, 12)
    found = quantize(graph, data)
    for sample in data:
        error = np.abs(run(found, sample)[:, 2:4] - y.bias[2:4])
        assert (error <= 0.51 * found.output_scale).all()
