"""The model stack's public functions: train, compile, run, profile, evaluate. Results have `to_json`."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hwlib.design import Design, Manifest
from hwlib.errors import InputError
from mfm.compress.integer import IntegerGraph, QInput, execute
from mfm.compress.quantize import quantize
from mfm.models.importer import import_model
from mfm.models.vit import VisionTransformer
from mfm.program.program import Program, TensorSlot
from mfm.run import hosted
from mfm.run import profile as profiles
from mfm.run.calibrate import Calibration
from mfm.run.calibrate import calibrate as calibrate_design
from mfm.run.cycles import run_cycles
from mfm.run.generate import ModelImage
from mfm.run.golden import run_golden
from mfm.run.hosted import HostedModel
from mfm.run.rtl import RtlRun, open_runner, run_rtl
from mfm.run.store import model_path, trained_digits
from mfm.schedule.schedule import schedule
from mfm.serve import generation
from mfm.tasks import digits
from mfm.workloads import DECODERS, BlockShape, decoder_workload, encoder_block, random_caches
from verification.system.simulation import MemoryModel

Int = NDArray[np.int64]
Target = Literal["golden", "cycles", "rtl"]

DIGITS = "digits-vit"
BLOCK = "encoder-block"
WORKLOADS = (DIGITS, BLOCK, *DECODERS)


class Record:
    """A result that prints as JSON."""

    def to_json(self) -> dict[str, object]:
        """Plain dictionaries, lists, strings and numbers."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]


@dataclass(frozen=True)
class TrainResult(Record):
    """A training run: where the model is, its accuracy on the test part, and how many images each part has."""

    path: str
    test_accuracy: float
    epochs: int
    train_images: int
    test_images: int


@dataclass(frozen=True)
class CompileResult(Record):
    """A compiled program: the schedule chosen, its modelled cycles, and its size."""

    name: str
    cycles: int
    utilisation: float
    macs: int
    instructions: int
    memory_bytes: int
    schedules_tried: int
    choices: dict[str, int]


@dataclass(frozen=True)
class RunResult(Record):
    """One run. outputs: int8 matrices by name (empty for the cycle model); cycles: None for the golden machine."""

    name: str
    on: Target
    outputs: dict[str, list[list[int]]]
    cycles: int | None
    counters: dict[str, int]


@dataclass(frozen=True)
class WorkloadRun(Record):
    """A workload on a design's RTL, its output equal to the golden executor's.

    macs: useful multiply-accumulates; mac_utilisation: share of cycles in which the array accepts a beat, by the
    design's own counters; model_cycles: what the cycle model said.
    """

    model: str
    design: str
    cycles: int
    macs: int
    mac_utilisation: float
    model_cycles: int
    model_error: float
    counters: dict[str, int]


@dataclass(frozen=True)
class Accuracy(Record):
    """Share of test images classified rightly by the float model, the integer graph and the RTL.

    logits_equal: every logit of every RTL image equals the golden executor's. rtl fields are None without a design.
    """

    test_images: int
    float_accuracy: float
    integer_accuracy: float
    rtl_images: int | None = None
    rtl_accuracy: float | None = None
    logits_equal: bool | None = None
    cycles_per_image: float | None = None


def train(seed: int = 0, epochs: int | None = None, path: Path | None = None) -> TrainResult:
    """Train the digits model anew and save it: at `path`, else where `digits-vit` is looked for."""
    config = digits.TrainConfig(seed=seed) if epochs is None else digits.TrainConfig(seed=seed, epochs=epochs)
    if config.epochs < 1:
        raise InputError(f"{epochs} epochs", "--epochs", "give at least 1")
    trained = digits.train(config)
    where = path or model_path(config)
    digits.save(trained, where)
    data = digits.load()
    return TrainResult(str(where), trained.accuracy, trained.epochs, len(data.train), len(data.test))


def load_graph(model: str) -> IntegerGraph:
    """The integer graph of a workload's name or of a trained digits model's file.

    ``encoder-block`` may carry its shape: ``encoder-block-SEQ-WIDTH-HEADS-FF``; decoders always do, as in
    `mfm.workloads.decoder_workload`; a Hugging Face checkpoint folder as in `mfm.serve.generation.part_graph`.
    Raises InputError for any other word.
    """
    if model == DIGITS:
        return _digits_graph(None)
    if model.startswith(BLOCK):
        return encoder_block(_block_shape(model))
    if model.startswith(DECODERS):
        return decoder_workload(model)
    if model.endswith(".pt"):
        return _digits_graph(Path(model))
    if generation.is_checkpoint(model):
        return generation.part_graph(model)
    raise InputError(
        f"no workload '{model}'",
        "model",
        f"use {DIGITS}, {BLOCK}[-SEQ-WIDTH-HEADS-FF], {DECODERS[1]}-..., a .pt file or a checkpoint folder",
    )


def _block_shape(model: str) -> BlockShape:
    if model == BLOCK:
        return BlockShape()
    found = re.fullmatch(BLOCK + r"-(\d+)-(\d+)-(\d+)-(\d+)", model)
    shape = BlockShape(*map(int, found.groups())) if found else None
    if shape is None or not 0 < shape.heads <= shape.width or shape.width % shape.heads or 0 in (shape.seq, shape.ff):
        raise InputError(f"bad shape in '{model}'", "model", f"write {BLOCK}-SEQ-WIDTH-HEADS-FF, heads dividing width")
    if max(shape.seq, shape.width) > 4096:
        raise InputError(f"'{model}' has rows of more than 4096", "model", "use at most 4096 tokens and columns")
    return shape


@lru_cache(maxsize=4)
def _digits_graph(path: Path | None) -> IntegerGraph:
    model = _float_model(path)
    example = torch.zeros(1, model.config.size, model.config.size)
    graph = import_model(model, example, DIGITS)
    return quantize(graph, [image.ravel() for image in digits.load().calibration.images])


def _float_model(path: Path | None) -> VisionTransformer:
    return (trained_digits() if path is None else digits.restore(path)).model


def compile_model(model: str, manifest: Manifest, latency: int = 20) -> tuple[Program, CompileResult]:
    """The best program found for `model` on `manifest` behind a memory of `latency` cycles.

    Raises InputError if none fits, or part of the model runs on the host.
    """
    return _compiled(load_graph(model), manifest, latency)


def prepare(model: str, manifest: Manifest, latency: int = 20) -> Program | HostedModel:
    """What `run` and `profile` take: the program of `model`, or its programs with the host between them."""
    graph = load_graph(model)
    return HostedModel(graph, ModelImage(manifest, latency)) if graph.hosts else _compiled(graph, manifest, latency)[0]


def _compiled(graph: IntegerGraph, manifest: Manifest, latency: int) -> tuple[Program, CompileResult]:
    if graph.hosts:
        raise InputError(
            f"{graph.hosts[0].where} runs on the host: more than one program", graph.name, "run or profile the model"
        )
    found = schedule(graph, manifest, latency)
    program = found.program
    result = CompileResult(
        name=program.name,
        cycles=found.cycles,
        utilisation=program.mac_beats / found.cycles,
        macs=graph.macs,
        instructions=len(program.instructions),
        memory_bytes=program.memory_bytes,
        schedules_tried=found.tried,
        choices={name: int(value) for name, value in asdict(found.choices).items()},
    )
    return program, result


def inputs_for(program: Program | HostedModel, index: int = 0) -> dict[str, Int]:
    """Inputs of `program`: test image `index` where the input is gathered from one's pixels, else random bytes."""
    images = digits.load().test.images
    if not 0 <= index < len(images):
        raise InputError(f"no test image {index}", "image", f"there are {len(images)}")
    random = np.random.default_rng(index)

    def given(slot: TensorSlot) -> Int:
        if slot.choices:
            return random.integers(0, slot.choices, slot.rows)
        of_image = slot.gather and max(slot.gather) + 1 == images[index].size
        return slot.quantize(images[index]) if of_image else random.integers(-128, 128, (slot.rows, slot.cols))

    return {slot.name: given(slot) for slot in program.inputs}


def run(
    program: Program | HostedModel,
    on: Target,
    design: Design | None = None,
    memory: MemoryModel | None = None,
    index: int = 0,
) -> RunResult:
    """Run `program` once, on input `index`, by the golden machine, the cycle model or the RTL of `design`.

    Raises InputError if the design is missing where one is needed, or of another shape, or its run does not end well.
    """
    if isinstance(program, HostedModel):
        return _run_hosted(program, on, design, memory or MemoryModel(), index)
    if on == "golden":
        found = run_golden(program, inputs_for(program, index))
        return RunResult(program.name, on, _listed(found), None, {})
    if design is None:
        raise InputError(f"running on '{on}' needs a design", "--design", "name one, or 'expert'")
    model = memory or MemoryModel()
    if on == "cycles":
        timeline = run_cycles(program, design.manifest, model.latency)
        return RunResult(program.name, on, {}, timeline.cycles, {"mac": timeline.mac_beats})
    done = run_rtl(program, design, [inputs_for(program, index)], model)[0]
    _check(done, design)
    return RunResult(program.name, on, _listed(done.outputs), done.cycles, done.counters)


def _run_hosted(model: HostedModel, on: Target, design: Design | None, memory: MemoryModel, index: int) -> RunResult:
    inputs = inputs_for(model, index)
    if on == "golden":
        done = hosted.run_golden(model, inputs)
    elif design is None:
        raise InputError(f"running on '{on}' needs a design", "--design", "name one, or 'expert'")
    else:
        done = hosted.run_modelled(model) if on == "cycles" else hosted.run_design(model, inputs, design, memory)
    return RunResult(model.name, on, _listed(done.outputs), done.cycles, done.counters)


def _listed(outputs: dict[str, Int]) -> dict[str, list[list[int]]]:
    return {name: matrix.tolist() for name, matrix in outputs.items()}


def _check(done: RtlRun, design: Design) -> None:
    if done.status != "done":
        raise InputError(f"the run ended with {done.status}", str(design.folder), "verify the design")


def run_workload(model: str, design: Design, memory: MemoryModel | None = None) -> WorkloadRun:
    """Compile `model` for `design` and run it once on the RTL.

    Raises InputError if it does not fit, does not end, or its output differs from the golden executor's.
    """
    graph, where = load_graph(model), memory or MemoryModel()
    found = schedule(graph, design.manifest, where.latency)
    inputs = inputs_for(found.program) if model != DIGITS and not model.endswith(".pt") else _image(graph, 0)
    caches = random_caches(graph)
    with open_runner(found.program, design, where) as runner:
        for name, rows in caches.items():
            runner.write_cache(name, rows)
        done = runner.run(inputs)
    _check(done, design)
    if not np.array_equal(done.outputs[graph.output], execute(graph, inputs, caches)):
        raise InputError("its output differs from the golden executor's", str(design.folder), "verify the design")
    used = done.counters["mac"] / done.cycles
    error = found.cycles / done.cycles - 1
    return WorkloadRun(model, design.manifest.name, done.cycles, graph.macs, used, found.cycles, error, done.counters)


def _image(graph: IntegerGraph, index: int) -> dict[str, Int]:
    return {op.out: _quantized(op, digits.load().test.images[index]) for op in graph.inputs}


def _quantized(op: QInput, image: NDArray[np.float64]) -> Int:
    return TensorSlot.unplaced(op).quantize(image)


def profile(program: Program | HostedModel, manifest: Manifest, latency: int = 20) -> profiles.Profile:
    """Where the modelled cycles go, by layer and engine; a hosted model on the machine it is made for."""
    if isinstance(program, HostedModel):
        return hosted.profile_hosted(program)
    return profiles.profile(program, manifest, latency)


def calibrate(design: Design) -> Calibration:
    """The design's timing constants, measured on its RTL."""
    return calibrate_design(design)


def evaluate(
    model: str = DIGITS, design: Design | None = None, images: int = 64, memory: MemoryModel | None = None
) -> Accuracy:
    """Accuracy of a digits model in float, as an integer graph, and on the first `images` test images on the RTL."""
    if model != DIGITS and not model.endswith(".pt"):
        raise InputError(f"'{model}' has no test data", "model", f"use {DIGITS} or a .pt file")
    data, graph = digits.load().test, load_graph(model)
    right = [_logits(graph, image).argmax() == label for image, label in zip(data.images, data.labels, strict=True)]
    floats = digits.accuracy(_float_model(None if model == DIGITS else Path(model)), data)
    result = Accuracy(len(data), floats, float(np.mean(right)))
    return result if design is None else _evaluate_rtl(result, graph, design, data, images, memory)


def _logits(graph: IntegerGraph, image: NDArray[np.float64]) -> Int:
    inputs = {op.out: _quantized(op, image) for op in graph.inputs}
    logits: Int = execute(graph, inputs)[0]
    return logits


def _evaluate_rtl(
    result: Accuracy,
    graph: IntegerGraph,
    design: Design,
    data: digits.Examples,
    images: int,
    memory: MemoryModel | None,
) -> Accuracy:
    if not 1 <= images <= len(data):
        raise InputError(f"{images} images", "--images", f"give 1 to {len(data)}")
    where = memory or MemoryModel()
    program = schedule(graph, design.manifest, where.latency).program
    right, equal, cycles = 0, True, 0
    with open_runner(program, design, where) as runner:
        for image, label in zip(data.images[:images], data.labels[:images], strict=True):
            done = runner.run({op.out: _quantized(op, image) for op in graph.inputs})
            _check(done, design)
            logits = done.outputs[graph.output][0]
            equal &= np.array_equal(logits, _logits(graph, image))
            right, cycles = right + int(logits.argmax() == label), cycles + done.cycles
    return Accuracy(
        result.test_images,
        result.float_accuracy,
        result.integer_accuracy,
        images,
        right / images,
        bool(equal),
        cycles / images,
    )
