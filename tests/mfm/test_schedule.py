"""Compiled programs compute what the integer graph computes, on any machine they fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from hwlib.design import Manifest
from hwlib.errors import InputError
from mfm.compress.integer import IntegerGraph, QAttention, QGemm, execute
from mfm.program.effects import accesses
from mfm.run.cycles import run_cycles
from mfm.run.golden import golden_machine, run_golden
from mfm.schedule.lower import Choices
from mfm.schedule.schedule import build, schedule
from mfm.workloads import Decoder, DecoderShape, random_caches, random_input
from tests.benchmarks.layer_graphs import KINDS, random_layer
from tests.mfm.machines import block, machine

MACHINES = [
    machine(),
    machine(T=2, D=4, WORDS=512),
    machine(T=4, D=2, WORDS=512),
    machine(T=8, D=1),
    machine(T=16, D=1, ROW_SCALES=4),
    machine(T=4, D=16, AXI_BYTES=16, BANKS=2),
    machine(T=2, D=16, WORDS=128, MATRIX_PARAMS=64),
]


def computes(graph: IntegerGraph, manifest: Manifest, choices: Choices | None = None) -> None:
    """As `agrees`, for graphs with caches, which end up as the graph's too."""
    program = schedule(graph, manifest, effort=0).program if choices is None else build(graph, manifest, choices)
    inputs, caches = random_input(graph, 5), random_caches(graph, 6)
    machine = golden_machine(program, np.random.default_rng(1))
    for cache in program.caches:
        machine.write(cache.addr, cache.pack(caches[cache.name], program.target))
    for slot in program.inputs:
        machine.write(slot.addr, slot.pack(inputs[slot.name], program.target))
    for item in program.instructions:
        machine.execute(item)
    slot = program.outputs[0]
    found = slot.decode(machine.read(slot.addr, slot.nbytes(program.target)), program.target)
    assert np.array_equal(found, execute(graph, inputs, caches))
    for cache in program.caches:
        data = machine.read(cache.addr, cache.nbytes(program.target))
        assert np.array_equal(cache.decode(data, len(caches[cache.name]), program.target), caches[cache.name])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_layer_alone(kind: str) -> None:
    """Graphs without a linear layer too."""
    for manifest in MACHINES[:3]:
        computes(random_layer(list(KINDS).index(kind)), manifest)


def decoder(
    kv_heads: int = 2,
    share: int = 2,
    size: int = 3,
    ff: int = 20,
    layers: int = 1,
    gated: bool = True,
    bits: int = 8,
    cache_bits: int = 8,
) -> Decoder:
    heads = kv_heads * share
    return Decoder(DecoderShape(2 * size * heads, heads, kv_heads, ff, layers, 0, 40, gated, bits, cache_bits))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.integers(1, 35), st.booleans(), st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 30),
    st.sampled_from([(8, 8), (4, 8), (4, 4), (8, 4)]), st.booleans(), st.sampled_from(MACHINES),
)  # fmt: skip
def test_decoders_compute_the_same(
    tokens: int,
    step: bool,
    kv_heads: int,
    share: int,
    size: int,
    ff: int,
    bits: tuple[int, int],
    gated: bool,
    manifest: Manifest,
) -> None:
    made = decoder(kv_heads, share, size, ff, 1 + tokens % 2, gated, *bits)
    computes(made.step(tokens) if step else made.prefill(tokens), manifest)


def test_keys_have_one_precision() -> None:
    graph = decoder(cache_bits=4).step(5)
    spoiled = tuple(replace(op, bits=8) if isinstance(op, QAttention) else op for op in graph.ops)
    with pytest.raises(InputError, match="of more than one precision; give all that use it the same"):
        build(replace(graph, ops=spoiled), machine(), Choices())


def test_a_cache_is_loaded_only_where_it_holds_something() -> None:
    """At a boundary of words the block that a token begins comes from nowhere; one token later it is loaded."""

    def loaded(past: int) -> int:
        program = schedule(decoder(kv_heads=1, share=1, size=2, cache_bits=4).step(past), machine(), effort=0).program
        spans = [(c.addr, c.addr + c.nbytes(program.target)) for c in program.caches]
        loads = [i.operands for i in program.instructions if i.op == "LOAD"]
        inside = [v for v in loads if any(low <= v["dram_addr"] < high for low, high in spans)]
        return sum(v["rows"] * v["row_words"] for v in inside)

    assert loaded(8) == 2 + 1
    assert loaded(9) == loaded(12) == 3 + 2


def test_parameters_without_a_bias_are_loaded_in_half_the_bytes() -> None:
    def loaded(bias: int) -> int:
        graph = block(8, 32, 2, 64)
        made = tuple(replace(op, bias=0 * op.bias + bias) if isinstance(op, QGemm) else op for op in graph.ops)
        program = build(replace(graph, ops=made), machine(), Choices())
        loads = [i.operands for i in program.instructions if i.op == "LOAD" and i.operands["space"] == 1]
        return sum(v["rows"] * v["row_words"] for v in loads)

    assert loaded(0) == loaded(-1 << 18) < 0.6 * loaded(1)


def agrees(graph: IntegerGraph, manifest: Manifest, choices: Choices | None = None) -> None:
    """Whatever the local storages hold at the start, the program's output is the graph's."""
    program = schedule(graph, manifest, effort=0).program if choices is None else build(graph, manifest, choices)
    inputs = random_input(graph, 5)
    found = run_golden(program, inputs, np.random.default_rng(1))
    assert np.array_equal(found[graph.output], execute(graph, inputs))


@pytest.mark.parametrize("manifest", MACHINES, ids=lambda m: f"T{m.tile}D{m.dot}")
def test_a_block_computes_the_same_on_every_machine(manifest: Manifest) -> None:
    agrees(block(), manifest)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.integers(1, 35), st.integers(1, 4), st.integers(1, 9), st.integers(1, 40), st.sampled_from(MACHINES),
    st.integers(0, 99),
)  # fmt: skip
def test_odd_shapes_compute_the_same(seq: int, heads: int, size: int, ff: int, manifest: Manifest, seed: int) -> None:
    agrees(block(seq, heads * size, heads, ff, seed), manifest)


CHOICES = st.builds(
    Choices,
    group=st.integers(1, 4),
    weight_words=st.sampled_from([1, 4, 16, 64]),
    chunk=st.integers(0, 3),
    ahead=st.integers(0, 2),
    context_home=st.booleans(),
    split_words=st.sampled_from([0, 2, 4]),
    columns=st.sampled_from([0, 1, 4]),
    sweep=st.integers(0, 2),
    interleave=st.sampled_from([0, 2, 3]),
    words=st.sampled_from([0, 120]),
)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(CHOICES, st.sampled_from(MACHINES))
def test_every_choice_that_fits_is_correct(choices: Choices, manifest: Manifest) -> None:
    graph = block(13, 16, 2, 24)
    try:
        build(graph, manifest, choices)
    except InputError:
        reject()
    agrees(graph, manifest, choices)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(CHOICES, st.booleans(), st.sampled_from(MACHINES))
def test_every_choice_for_a_decoder_that_fits_is_correct(choices: Choices, step: bool, manifest: Manifest) -> None:
    graph = decoder(bits=4).step(21) if step else decoder().prefill(21)
    try:
        build(graph, manifest, choices)
    except InputError:
        reject()
    computes(graph, manifest, choices)


def test_no_program_touches_storage_the_machine_does_not_have() -> None:
    manifest = machine(WORDS=64)
    program = schedule(block(9, 12, 2, 20), manifest, effort=0).program
    for item in program.instructions[:-1]:
        for access in accesses(item.op, item.operands, item.flags, manifest):
            last = max(high for _, high in access.runs)
            limit = {"SCRATCHPAD": 64, "MATRIX_PARAMS": 128, "VECTOR_PARAMS": 128, "TABLES": 1, "ROW_SCALES": 16}
            assert last <= limit.get(access.store.name, program.memory_bytes)


def test_the_search_never_ends_worse_than_it_starts() -> None:
    graph, manifest = block(17, 16, 2, 32), machine()
    assert schedule(graph, manifest).cycles <= schedule(graph, manifest, effort=0).cycles


def test_the_search_is_deterministic() -> None:
    graph, manifest = block(9, 16, 2, 16), machine()
    first, second = schedule(graph, manifest, effort=2000), schedule(graph, manifest, effort=2000)
    assert (first.choices, first.cycles, first.program) == (second.choices, second.cycles, second.program)


def test_a_larger_scratchpad_costs_no_traffic() -> None:
    graph = block(16, 32, 2, 64)
    traffic, cycles = [], []
    for words in (128, 256, 1024):
        found = schedule(graph, machine(WORDS=words, VECTOR_PARAMS=256, MATRIX_PARAMS=256))
        moved = [i.operands["rows"] * i.operands["row_words"] for i in found.program.instructions if i.op == "LOAD"]
        traffic.append(sum(moved))
        cycles.append(found.cycles)
    assert traffic[-1] < traffic[0]
    assert cycles == sorted(cycles, reverse=True)


def test_masked_keys_cost_no_beats() -> None:
    graph = decoder().prefill(32)
    whole = [replace(op, causal=False) if isinstance(op, QAttention) else op for op in graph.ops]
    plain = IntegerGraph(graph.name, tuple(whole), graph.output, 1.0)
    manifest = machine(WORDS=1024)
    seen = [build(g, manifest, Choices()).mac_beats for g in (graph, plain)]
    assert seen[1] - seen[0] >= 0.9 * (plain.macs - graph.macs - 4 * 32 * 32) / 64


@pytest.mark.parametrize("words", [4096, 8192, 16384])
def test_no_larger_scratchpad_is_slower(words: int) -> None:
    graph = block(24, 64, 2, 96)
    sizes = {"VECTOR_PARAMS": 256, "MATRIX_PARAMS": 256}
    smaller = schedule(graph, machine(WORDS=words, **sizes), effort=4000).cycles
    assert schedule(graph, machine(WORDS=2 * words, **sizes), effort=4000).cycles <= smaller


def test_what_cannot_fit_names_the_parameter() -> None:
    with pytest.raises(InputError, match=r"tiny: WORDS: .* do not fit 64; use a larger value or a smaller model"):
        schedule(block(8, 128, 1, 8), machine(WORDS=64))
    with pytest.raises(InputError, match="tiny: VECTOR_PARAMS"):
        schedule(block(4, 160, 4, 8), machine(WORDS=4096))


def test_the_modelled_cycles_are_those_of_the_program() -> None:
    manifest = machine()
    found = schedule(block(), manifest, latency=33)
    assert found.cycles == run_cycles(found.program, manifest, 33).cycles
    assert found.program == build(block(), manifest, found.choices, 33)


def test_a_program_refuses_a_machine_of_another_shape() -> None:
    program = schedule(block(), machine(), effort=0).program
    program.check(machine(QUEUE=8))
    with pytest.raises(InputError, match="compiled for WORDS = 256, this design has 512"):
        program.check(machine(WORDS=512))


def test_labels_follow_the_instructions() -> None:
    program = schedule(block(), machine(), effort=0).program
    assert len(program.layers) == len(program.instructions)
    assert program.layers[-1] == "end"
    assert {"norm1", "context", "hidden", "sum2"} <= set(program.layers)
