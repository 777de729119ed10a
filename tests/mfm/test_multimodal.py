"""A vision-language model in one program: the embeddings of the image stay on the accelerator."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from hwlib.errors import InputError
from mfm.compress.decode import prefill, step, window
from mfm.compress.integer import IntegerGraph, execute, execute_all
from mfm.compress.multimodal import TEXT, VISION, joined
from mfm.compress.quantize import quantize
from mfm.models import huggingface
from mfm.run.generate import GoldenRunner, IntegerRunner, ModelImage
from tests.mfm.machines import machine

Int = NDArray[np.int64]
CAPACITY, ROWS, AT = 14, 9, 2


@lru_cache
def smolvlm() -> tuple[IntegerGraph, IntegerGraph]:
    """The integer graphs of the tiny SmolVLM's vision tower and of its decoder."""
    made, random = [], np.random.default_rng(0)
    for part in huggingface.parts(huggingface.tiny("smolvlm"), CAPACITY):
        samples = [random.normal(0, 1, tuple(part.example.shape)) for _ in range(2)]
        made.append(quantize(part.graph(), samples, wide=True))
    return made[0], made[1]


def inputs(graph: IntegerGraph) -> dict[str, Int]:
    random = np.random.default_rng(1)
    found = {op.out: random.integers(-100, 101, (op.rows, op.cols)) for op in graph.inputs}
    image = (np.arange(ROWS) >= AT) & (np.arange(ROWS) < AT + 4)
    return found | {TEXT: np.where(image[:, None], 0, found[TEXT])}


def test_the_rows_of_the_image_are_those_of_the_vision_tower() -> None:
    vision, decoder = smolvlm()
    whole = joined(vision, prefill(decoder, ROWS), AT)
    given = inputs(whole)
    caches: dict[str, Int] = {}
    found = execute_all(whole, given, caches)
    alone = execute(vision, {op.out: given[VISION + op.out] for op in vision.inputs})
    (source,) = prefill(decoder, ROWS).inputs
    real = alone * vision.output_scale / source.scale
    assert np.abs(found[source.out][AT : AT + 4] - np.clip(real, -128, 127)).max() <= 1
    assert np.array_equal(found[source.out][:AT], given[TEXT][:AT])
    apart: dict[str, Int] = {}
    execute(window(decoder, 0, ROWS), {source.out: found[source.out]}, apart)
    assert apart.keys() == caches.keys()
    assert all(np.array_equal(rows, caches[slot]) for slot, rows in apart.items())


@pytest.mark.parametrize("sizes", [{"MATRIX_PARAMS": 256}, {"T": 2, "D": 16, "WORDS": 128}], ids=["T4D4", "T2D16"])
def test_one_program_from_pixels_and_tokens_to_caches_and_steps_after_it(sizes: dict[str, int]) -> None:
    """Text's rows are looked up by number, the image's are a row of zeros that the vision tower's are added to."""
    vision, decoder = smolvlm()
    image = ModelImage(machine(**sizes), effort=0)
    runners = IntegerRunner(), GoldenRunner(image, np.random.default_rng(2))
    table = np.random.default_rng(3).integers(-90, 91, (33, 16))
    table[32] = 0
    whole = joined(vision, prefill(decoder, ROWS, table), AT)
    numbers = np.arange(ROWS)
    numbers[AT : AT + 4] = 32
    given = inputs(whole) | {TEXT: numbers}
    first, second = (runner.run(whole, given) for runner in runners)
    assert np.array_equal(first, second)
    plain = execute(joined(vision, prefill(decoder, ROWS), AT), given | {TEXT: table[numbers]}, {})
    assert np.array_equal(first, plain)
    for past in range(ROWS, CAPACITY):
        graph = step(decoder, past, table)
        logits = [runner.run(graph, {graph.inputs[0].out: np.array([past])}) for runner in runners]
        assert np.array_equal(*logits)


def test_what_does_not_fit_together_is_refused() -> None:
    vision, decoder = smolvlm()
    with pytest.raises(InputError, match="4 rows of 16 from row 6 on"):
        joined(vision, prefill(decoder, ROWS), 6)
    with pytest.raises(InputError, match="no attention before a linear layer"):
        prefill(IntegerGraph("nothing", decoder.ops[:1], decoder.ops[0].out, 1.0), 1)
