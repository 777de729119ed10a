"""Hugging Face models that generate text, quantized: language models, and vision-language models with their image.

Calibration: pixels and tokens that are given, else random ones. A prompt's rows are computed at once, the image's by
the vision tower in the same program; then token by token. Embeddings are loaded from one table in memory, by number: a
LOAD of 32 bytes in the program for each row of a prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwlib.errors import InputError
from mfm.compress.decode import prefill, step
from mfm.compress.integer import IntegerGraph, shape_of
from mfm.compress.multimodal import TEXT, VISION, joined
from mfm.compress.quantize import Q_MAX, quantize
from mfm.models.graph import Float, Gemm, Graph
from mfm.models.huggingface import DECODERS, PROJECTED, SHUFFLED, Part, parts
from mfm.program.program import TensorSlot
from mfm.run.generate import Inputs, Prompt, TextModel, text_prompt

Int = NDArray[np.int64]

SAMPLES = 2
"""Random calibration samples where none are given."""


@dataclass(frozen=True)
class Quantized:
    """A language model as integer graphs.

    decoder: of as many rows as the longest text; vision: pixels to image rows, None without; table: embeddings
    [vocabulary, width], int8 at the decoder's input scale; parameters: of the float model.
    """

    decoder: IntegerGraph
    vision: IntegerGraph | None
    table: Int
    parameters: int

    @cached_property
    def rows(self) -> Int:
        """What is looked up: the embeddings, and with a vision tower a row of zeros after them, for an image's rows."""
        return self.table if self.vision is None else np.pad(self.table, ((0, 1), (0, 0)))

    @property
    def capacity(self) -> int:
        """Rows of the longest text."""
        return self.decoder.inputs[0].rows

    def check_room(self, prompt: Prompt, count: int) -> None:
        """Raise InputError unless `count` tokens fit behind `prompt`."""
        if count < 1 or prompt.rows + count > self.capacity:
            raise InputError(
                f"{count} tokens after {prompt.rows}", "tokens", f"give 1 to {self.capacity - prompt.rows}"
            )

    def text(self) -> TextModel:
        """What generates text."""
        name = self.decoder.inputs[0].out
        return TextModel(
            prefill=lambda rows: prefill(self.decoder, rows, self.rows),
            step=lambda past: step(self.decoder, past, self.rows),
            inputs=lambda tokens: {name: np.asarray(tokens)},
        )

    def prompt(self, before: Sequence[int], pixels: Float | None = None, after: Sequence[int] = ()) -> Prompt:
        """The prompt of tokens `before`, the image [channels, height, width] if there is one, and tokens `after`.

        Raises InputError for an image without a vision tower, no token behind one, or tokens the vocabulary lacks.
        """
        for token in (*before, *after):
            if not 0 <= token < len(self.table):
                raise InputError(f"token {token}", "prompt", f"the vocabulary has {len(self.table)}")
        if pixels is None:
            return text_prompt(self.text(), [*before, *after])
        if self.vision is None:
            raise InputError("an image for a model without a vision tower", "prompt", "leave it out")
        if not after:
            raise InputError("no token after the image", "prompt", "give at least one")
        numbers = np.array([*before, *[len(self.table)] * _rows_of(self.vision), *after[:-1]])
        graph = joined(self.vision, prefill(self.decoder, len(numbers), self.rows), len(before))
        return Prompt(graph, {**self._pixels(pixels), TEXT: numbers}, len(numbers), after[-1])

    def _pixels(self, pixels: Float) -> Inputs:
        assert self.vision is not None
        slots = [TensorSlot.unplaced(op) for op in self.vision.inputs]
        return {VISION + slot.name: slot.quantize(pixels) for slot in slots}


def _rows_of(vision: IntegerGraph) -> int:
    return shape_of(vision.op(vision.output), vision)[0]


def quantized(
    model: Any,
    capacity: int,
    pixels: Sequence[Float] = (),
    tokens: Sequence[Sequence[int]] = (),
    wide: bool = True,
    bits: int = 8,
) -> Quantized:
    """The integer graphs of a Hugging Face `model` for texts of `capacity` rows.

    pixels: [channels, height, width] each; tokens: of `capacity` each, calibration data; wide: int16 residual stream;
    bits: 4 for the weights of the decoder's layers (its head stays int8). Raises InputError for a model that does
    not generate text, or one whose prompt is not causal.
    """
    kind = model.config.model_type
    if kind not in DECODERS | PROJECTED | SHUFFLED:
        raise InputError(f"models of type '{kind}' generate no text", "config.json", "import or compile its parts")
    made = {part.name.rsplit("-", 1)[1]: part for part in parts(model, capacity)}
    random = np.random.default_rng(0)
    images = list(pixels) or (noise(made["vision"]) if "vision" in made else [])
    vision = quantize(made["vision"].graph(), images, wide, host=True) if "vision" in made else None
    embeddings = model.get_input_embeddings().weight.detach().double().numpy()
    texts = tokens or [random.integers(0, len(embeddings), capacity).tolist() for _ in range(SAMPLES)]
    rows = [_with_image(made.get("vision"), images, i, embeddings[list(text)]) for i, text in enumerate(texts)]
    graph = made["decoder"].graph()
    decoder = quantize(graph, rows, wide, _bits(graph, bits), host=True)
    scale = decoder.inputs[0].scale
    table = np.clip(np.rint(embeddings / scale), -Q_MAX, Q_MAX).astype(np.int64)
    return Quantized(decoder, vision, table, sum(p.numel() for p in model.parameters()))


def noise(part: Part) -> list[Float]:
    """Random samples of a part's input, mean 0, deviation 1."""
    random = np.random.default_rng(1)
    return [random.normal(0, 1, tuple(part.example.shape[1:])) for _ in range(SAMPLES)]


def _with_image(vision: Part | None, images: Sequence[Float], index: int, rows: Float) -> Float:
    """Calibration rows whose first ones are an image's."""
    if vision is None:
        return rows
    with torch.no_grad():
        found = vision.module(torch.tensor(images[index % len(images)], dtype=torch.float32)[None]).double().numpy()
    return np.vstack([found, rows])[: len(rows)]


def _bits(graph: Graph, bits: int) -> dict[str, int]:
    layers = [op.out for op in graph.ops if isinstance(op, Gemm) and op.out != graph.output]
    return dict.fromkeys(layers, bits)
