"""Post-training quantization: how close the integer graph stays to the float one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pytest

from hwlib.errors import InputError
from mfm.compress.decode import window
from mfm.compress.integer import IntegerGraph, QAdd, QAttention, QConst, QGemm, QInput, execute, execute_all
from mfm.compress.quantize import needed_rows, quantize
from mfm.models.graph import (
    Activation,
    Add,
    Attention,
    AttentionHead,
    Columns,
    Float,
    Gemm,
    Graph,
    Input,
    Move,
    evaluate,
)
from mfm.models.huggingface import parts, tiny
from mfm.program.program import TensorSlot
from tests.mfm.test_importer import tiny_graph


def samples(count: int, seed: int, size: int = 16) -> list[Float]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(0, 1, size) for _ in range(count)]


def quantized(op: QInput, sample: Float) -> np.ndarray:
    return TensorSlot.unplaced(op).quantize(sample)


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


# Decoders


@lru_cache
def decoder(family: str = "llama") -> tuple[Graph, tuple[Float, ...]]:
    """A tiny decoder's float graph over 6 rows, and samples of it."""
    (part,) = parts(tiny(family), 6)
    rng = np.random.default_rng(5)
    return part.graph(), tuple(rng.normal(0, 1, (6, 16)) for _ in range(24))


def noise(graph: Graph, whole: IntegerGraph, data: Sequence[Float]) -> float:
    """Error of the integer graph as a share of the output's spread."""
    wanted = np.array([evaluate(graph, sample)[graph.output] for sample in data])
    return float(np.std(np.array([run(whole, sample) for sample in data]) - wanted) / np.std(wanted))


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma"])
def test_an_integer_decoder_follows_the_float_one(family: str) -> None:
    graph, data = decoder(family)
    assert noise(graph, quantize(graph, data, wide=True), data) < 0.1


def test_the_residual_stream_is_wide() -> None:
    graph, data = decoder()
    whole = quantize(graph, data, wide=True)
    sums = [op for op in whole.ops if isinstance(op, QAdd)]
    assert [op.wide_out for op in sums] == [True, True, True, False]
    assert [op.wide for op in sums] == [False, True, True, True]
    largest = dict[str, int]()
    for sample in data:
        values = execute_all(whole, {op.out: quantized(op, sample) for op in whole.inputs})
        for op in sums:
            largest[op.out] = max(largest.get(op.out, 0), int(np.abs(values[op.out]).max()))
    assert all(64 * 256 < largest[op.out] <= 32640 for op in sums if op.wide_out)


def test_grouped_queries_share_keys_and_values() -> None:
    graph, data = decoder()
    whole = quantize(graph, data)
    attention = next(op for op in whole.ops if isinstance(op, QAttention))
    assert attention.causal
    assert len({head.q for head in attention.heads}) == 4
    assert len({head.k for head in attention.heads}) == len({head.v for head in attention.heads}) == 2


def test_int4_weights_only_where_asked() -> None:
    graph, data = decoder()
    names = [op.out for op in graph.ops if isinstance(op, Gemm)]
    whole = quantize(graph, data, bits={names[0]: 4, names[-1]: 4})
    few = [op for op in whole.ops if isinstance(op, QGemm) and op.bits == 4]
    assert {len(op.weight) for op in few} == {4, 32}
    assert all(op.weight.min() >= -8 and op.weight.max() <= 7 for op in few)
    assert noise(graph, whole, data) < 0.35
    with pytest.raises(InputError, match="3-bit weights"):
        quantize(graph, data, bits={names[0]: 3})


@pytest.mark.parametrize("cache_bits", [8, 4])
def test_rows_computed_one_by_one_are_the_same(cache_bits: int) -> None:
    graph, data = decoder("qwen2")
    whole = quantize(graph, data, wide=True, cache_bits=cache_bits)
    sample = {op.out: quantized(op, data[0]) for op in whole.inputs}
    together = execute(whole, sample)
    caches: dict[str, np.ndarray] = {}
    for past, rows in ((0, 3), (3, 1), (4, 2)):
        part = {name: value[past : past + rows] for name, value in sample.items()}
        found = execute(window(whole, past, rows), part, caches)
        assert (found == together[past : past + rows]).all()


def test_int4_keys_and_values_have_scales_of_their_own() -> None:
    """The attention sees values of the whole range, and its result is as large as with int8 ones."""
    graph, data = decoder("qwen2")
    narrow, plain = quantize(graph, data, wide=True, cache_bits=4), quantize(graph, data, wide=True)
    heads = next(op for op in narrow.ops if isinstance(op, QAttention)).heads
    values = execute_all(narrow, {op.out: quantized(op, data[0]) for op in narrow.inputs})
    for name in {head.k for head in heads} | {head.v for head in heads}:
        inside = (values[name] >= -8) & (values[name] <= 7)
        assert inside.mean() > 0.9
        assert np.abs(values[name]).max() >= 6
    assert noise(graph, plain, data) < noise(graph, narrow, data) < 0.5


def test_windows_only_of_causal_graphs_and_rows_there_are() -> None:
    graph, data = decoder()
    with pytest.raises(InputError, match="rows 5 to 7"):
        window(quantize(graph, data), 5, 2)
    with pytest.raises(InputError, match="not causal has no decode steps"):
        window(integer_graph(), 0, 2)


def test_an_activations_table_ends_where_its_function_does() -> None:
    x, y = linear(rows=16, n=8, bias=0.0)
    wide = Gemm("y", "x", 16, y.weight * 40, y.bias)
    graph = Graph("gate", (x, wide, Activation("g", "y", 16, "silu")), "g")
    data = samples(20, 0, 64)
    assert noise(graph, quantize(graph, data), data) < 0.02


@pytest.mark.parametrize("family", ["smolvlm", "llava"])
def test_a_vision_tower_with_its_projector_is_an_integer_graph(family: str) -> None:
    part = parts(tiny(family), 6)[0]
    graph, rng = part.graph(), np.random.default_rng(5)
    data = [rng.normal(0, 1, part.example.numel()) for _ in range(16)]
    whole = quantize(graph, data, wide=True)
    assert noise(graph, whole, data) < 0.1
    move = next(op for op in graph.ops if isinstance(op, Move))
    values = execute_all(whole, {op.out: quantized(op, data[0]) for op in whole.inputs})
    assert (values[move.out] == values[move.a].ravel()[move.gather]).all()


def test_elements_do_not_move_within_rows() -> None:
    x, y = linear()
    swapped = Move("m", "y", np.arange(15).reshape(3, 5)[:, ::-1].copy())
    with pytest.raises(InputError, match="m: elements move within rows"):
        quantize(Graph("bad", (x, y, swapped), "m"), samples(2, 0, 12))
