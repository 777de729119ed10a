"""Token by token on the golden machine: the logits of the integer graphs, caches and all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from hwlib.design import EXPERT, Manifest, read_design, with_parameters
from hwlib.errors import InputError
from mfm.compress.decode import looked_up
from mfm.compress.integer import IntegerGraph, execute
from mfm.run.generate import Generation, IntegerRunner, ModelImage, TextModel, generate, open_runners, text_prompt
from mfm.schedule.panels import ALIGNMENT
from mfm.workloads import Decoder, DecoderShape
from tests.mfm.machines import machine
from verification.system.simulation import MemoryModel

Int = NDArray[np.int64]
SHAPE = DecoderShape(width=24, heads=4, kv_heads=2, ff=40, layers=2, vocab=23, capacity=24)
MACHINES = [
    machine(MATRIX_PARAMS=256),
    machine(T=4, D=16, WORDS=128, BANKS=2),
    machine(T=8, D=2, WORDS=256, ROW_SCALES=8),
    machine(T=2, D=16, WORDS=128),
]


def text_model(shape: DecoderShape = SHAPE) -> TextModel:
    decoder = Decoder(shape)

    return TextModel(decoder.prefill, decoder.step, lambda tokens: decoder.inputs(list(tokens)))


def lookup_model(shape: DecoderShape = SHAPE) -> TextModel:
    """The same model with its table of embeddings on the accelerator: token numbers in, nothing looked up before."""
    decoder = Decoder(shape)
    table = decoder.embedding
    return TextModel(
        prefill=lambda rows: looked_up(decoder.prefill(rows), table),
        step=lambda past: looked_up(decoder.step(past), table),
        inputs=lambda tokens: {"x": np.asarray(tokens)},
    )


def generated(manifest: Manifest, prompt: Sequence[int], count: int, shape: DecoderShape = SHAPE) -> Generation:
    model = text_model(shape)
    with open_runners(["integer", "golden"], manifest, effort=0) as runners:
        return generate(model, text_prompt(model, prompt), count, runners)


@pytest.mark.parametrize("manifest", MACHINES, ids=lambda m: f"T{m.tile}D{m.dot}")
def test_the_golden_machine_generates_what_the_integer_graphs_do(manifest: Manifest) -> None:
    found = generated(manifest, [3, 1, 4, 1, 5, 9], 12)
    assert len(found.tokens) == len(found.logits) == 12
    assert len({logits.tobytes() for logits in found.logits}) > 1


def test_int4_weights_and_a_prompt_of_one_token() -> None:
    shape = DecoderShape(width=24, heads=2, kv_heads=1, ff=40, vocab=23, capacity=8, bits=4)
    assert len(generated(MACHINES[0], [7], 8, shape).tokens) == 8


def test_steps_give_the_rows_of_a_prefill() -> None:
    decoder, tokens = Decoder(SHAPE), [3, 1, 4, 1, 5]
    whole = execute(decoder.prefill(5), decoder.inputs(tokens), {})
    runner = IntegerRunner()
    steps = [runner.run(decoder.step(at), decoder.inputs([token])) for at, token in enumerate(tokens)]
    assert np.array_equal(whole, np.vstack(steps))


def test_programs_of_a_model_share_weights_and_scratch() -> None:
    decoder, image = Decoder(SHAPE), ModelImage(MACHINES[0], effort=0)
    first = image.program(decoder.prefill(6), step=False)
    sizes = []
    for past in range(6, 10):
        program = image.program(decoder.step(past), step=True)
        assert {(s.name, s.addr) for s in program.caches} == {(s.name, s.addr) for s in first.caches}
        sizes.append(program.memory_bytes)
    assert np.diff(sizes).max() <= len(program.code) + 3 * ALIGNMENT
    ends = sorted((s.addr, s.addr + len(s.data)) for s in program.image)
    assert all(high <= low for (_, high), (low, _) in pairwise(ends))


@pytest.mark.xdist_group("rtl")
def test_the_expert_generates_what_the_integer_graphs_do() -> None:
    """On the RTL behind a memory that stalls, the build that `test_api` uses."""
    sizes = {"T": 2, "D": 4, "WORDS": 512, "ACT_LANES": 2, "MATRIX_PARAMS": 256, "VECTOR_PARAMS": 128, "QUEUE": 4}
    design = with_parameters(read_design(EXPERT), **sizes)
    model = lookup_model()
    stalls = MemoryModel(latency=9, stall=0.2, seed=3)
    with open_runners(["integer", "rtl"], design.manifest, design, stalls, effort=0) as runners:
        found = generate(model, text_prompt(model, [3, 1, 4, 1, 5, 9]), 3, runners)
    assert len(found.cycles) == 4
    assert min(found.cycles) > 0


LOOKUPS = [*MACHINES, machine(T=16, D=1, WORDS=512, AXI_BYTES=8), machine(T=2, D=16, WORDS=128, AXI_BYTES=32)]


@pytest.mark.parametrize("manifest", LOOKUPS, ids=lambda m: f"T{m.tile}D{m.dot}")
def test_tokens_are_loaded_from_the_table_of_embeddings_in_memory(manifest: Manifest) -> None:
    model, prompt = lookup_model(), [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]
    with open_runners(["integer", "golden"], manifest, effort=0) as runners:
        found = generate(model, text_prompt(model, prompt), 4, runners)
    plain = generated(manifest, prompt, 4)
    assert found.tokens == plain.tokens
    assert all(np.array_equal(a, b) for a, b in zip(found.logits, plain.logits, strict=True))


def test_a_prompt_and_every_step_look_up_rows_of_one_table_of_contiguous_bytes() -> None:
    model, image = lookup_model(), ModelImage(MACHINES[0], effort=0)
    table = Decoder(SHAPE).embedding
    for graph in (model.prefill(6), model.step(6), model.step(7)):
        program = image.program(graph, step=graph.inputs[0].rows == 1)
        (slot,) = program.inputs
        assert slot.pitch == SHAPE.width
        holding = [s for s in program.segments if s.addr == slot.addr]
        assert [s.data for s in holding] == [table.astype(np.int8).tobytes()]
        loads = [item for item in program.instructions if "SPREAD" in item.flags]
        assert [item.operands["lane"] for item in loads] == [(slot.row + r) % 4 for r in range(slot.rows)]
        numbers = np.arange(slot.rows) + 11
        asked = [i.operands["dram_addr"] for i in program.chosen({"x": numbers}) if "SPREAD" in i.flags]
        assert asked == [slot.addr + n * SHAPE.width for n in numbers]
        assert len(program.feed({"x": numbers})) == slot.rows


def test_a_prompt_longer_than_its_table() -> None:
    shape = replace(SHAPE, vocab=3)
    model = lookup_model(shape)
    with open_runners(["integer", "golden"], MACHINES[0], effort=0) as runners:
        assert generate(model, text_prompt(model, [2, 0, 1, 1, 0, 2, 2]), 2, runners).tokens


def test_rows_beyond_the_table_and_too_few_are_refused() -> None:
    model = lookup_model()
    program = ModelImage(MACHINES[0], effort=0).program(model.prefill(3), step=False)
    for numbers, why in (
        ([3, 23, 1], "row 23 of a table of 23"),
        ([3, -1, 1], "row -1 of"),
        ([3], "1 row numbers for 3"),
    ):
        with pytest.raises(InputError, match=why):
            execute(model.prefill(3), {"x": np.array(numbers)}, {})
        with pytest.raises(InputError, match=why):
            program.feed({"x": np.array(numbers)})


class Wrong(IntegerRunner):
    def run(self, graph: IntegerGraph, inputs: Mapping[str, Int]) -> Int:
        return super().run(graph, inputs) ^ 1


def test_logits_that_differ_are_reported() -> None:
    model = text_model()
    runners = [IntegerRunner(), Wrong("odd")]
    with pytest.raises(InputError, match="logits of token 2 on 'odd' differ from those on 'integer'"):
        generate(model, text_prompt(model, [1, 2, 3]), 2, runners)
    with pytest.raises(InputError, match="an empty prompt"):
        text_prompt(model, [])


def test_a_cache_that_is_full_or_too_short_is_refused() -> None:
    decoder = Decoder(SHAPE)
    rows = np.zeros((24, 6), dtype=np.int64)
    full = {f"{part}{layer}.{h}": rows for part in ("keys", "values") for layer in (0, 1) for h in (0, 1)}
    with pytest.raises(InputError, match="rows 24 to 25 of cache"):
        execute(decoder.step(24), decoder.inputs([1]), full)
    with pytest.raises(InputError, match=r"rows 3 to 4 of cache .* it has 0 rows"):
        execute(decoder.step(3), decoder.inputs([1]))
