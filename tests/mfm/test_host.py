"""What the host computes: named where it comes from, the same as torch, and between programs on any machine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwlib.design import EXPERT, Design, read_design, with_parameters
from hwlib.errors import InputError
from mfm import api
from mfm.compress.decode import looked_up, step, window
from mfm.compress.integer import IntegerGraph, QAdd, execute, execute_all
from mfm.compress.quantize import quantize
from mfm.models.graph import Float, Graph, evaluate
from mfm.models.huggingface import parts, tiny
from mfm.models.importer import import_model
from mfm.program.program import TensorSlot
from mfm.run.generate import ModelImage, TextModel, generate, open_runners, text_prompt
from mfm.run.hosted import HostedModel
from mfm.schedule.lower import Choices
from mfm.schedule.schedule import build
from mfm.schedule.split import Segment, split
from tests.mfm.machines import machine
from verification.system.simulation import MemoryModel

Int = NDArray[np.int64]
MACHINES = [machine(MATRIX_PARAMS=256), machine(T=2, D=16, WORDS=128), machine(T=8, D=2, WORDS=512, ROW_SCALES=8)]


class Sorted(nn.Module):
    """Sorted columns, running sums over rows, a gather by the sort's own indices: nothing of it has a rule."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.act, self.down = nn.Linear(6, 8), nn.Mish(), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        values, order = torch.sort(self.act(self.up(x)), dim=-1)
        z = self.down(values * 2).cumsum(1)
        return torch.gather(z, 1, order[..., :5] % 4) + torch.sin(z)


class Biased(nn.Module):
    """Attention with a bias on its scores, written out."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(8, 8) for _ in range(4))
        self.bias, self.fused = nn.Parameter(torch.randn(2, 5, 5)), fused

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).view(1, 5, 2, 4).transpose(1, 2) for layer in (self.q, self.k, self.v))
        if self.fused:
            mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=self.bias)
        else:
            mixed = (q @ k.transpose(-1, -2) / 2 + self.bias).softmax(-1) @ v
        return self.o(mixed.transpose(1, 2).reshape(1, 5, 8))


class Residual(nn.Module):
    """A sine inside a block: the residual stream, and a head that attends to what the host made, go past it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(6, 8), nn.LayerNorm(8)
        self.up, self.down = nn.Linear(8, 12), nn.Linear(12, 8)
        self.q, self.k, self.v, self.o = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = x + self.down(torch.sin(self.up(self.norm(x))))
        keys = torch.tan(0.2 * self.k(x))
        q, k, v = (part.view(1, -1, 2, 4).transpose(1, 2) for part in (self.q(x), keys, self.v(x)))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return torch.relu(x + self.o(mixed))


class Context(nn.Module):
    """Heads' results that the host reads."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(6, 6) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).view(1, -1, 2, 3).transpose(1, 2) for layer in (self.q, self.k, self.v))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.o(torch.sin(mixed)) + mixed


class Partly(nn.Module):
    """Queries and keys of which a part is rotated: joined by the host, read by attention."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(6, 8) for _ in range(3))
        self.o = nn.Linear(8, 6)

    def turned(self, x: Tensor) -> Tensor:
        x = x.view(1, -1, 2, 4).transpose(1, 2)
        angle = torch.arange(x.shape[2])[:, None] * torch.tensor([0.3, 0.3])
        first, rest = x[..., :2], x[..., 2:]
        swapped = torch.cat([-first[..., 1:], first[..., :1]], -1)
        return torch.cat([first * angle.cos() + swapped * angle.sin(), rest], -1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.turned(self.q(x)), self.turned(self.k(x)), self.v(x).view(1, -1, 2, 4).transpose(1, 2)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o(mixed.transpose(1, 2).flatten(2))


class Woven(nn.Module):
    """Elements moved between rows, an activation of a linear layer that a sum reads too, a product in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        y = torch.tanh(y) + y
        y = y.transpose(1, 2).reshape(1, -1, 8)
        z = self.last(y)
        z *= x
        return z


SHAPES: dict[str, tuple[int, int]] = {
    "sorted": (4, 6),
    "biased": (5, 8),
    "fused": (5, 8),
    "residual": (5, 6),
    "context": (3, 6),
    "partly": (5, 6),
    "woven": (3, 6),
}


@lru_cache
def module(name: str) -> nn.Module:
    torch.manual_seed(0)
    made = {
        "sorted": Sorted,
        "biased": lambda: Biased(False),
        "fused": lambda: Biased(True),
        "residual": Residual,
        "context": Context,
        "partly": Partly,
        "woven": Woven,
    }
    return made[name]().eval()


@lru_cache
def imported(name: str) -> Graph:
    return import_model(module(name), torch.zeros(1, *SHAPES[name]), name, host=True)


def samples(name: str) -> list[Float]:
    rng = np.random.default_rng(0)
    return [rng.normal(0, 1, SHAPES[name]) for _ in range(6)]


@lru_cache
def quantized(name: str, wide: bool = False) -> IntegerGraph:
    return quantize(imported(name), samples(name), wide, host=True)


def inputs(name: str) -> Mapping[str, Int]:
    return {op.out: TensorSlot.unplaced(op).quantize(samples(name)[0]) for op in quantized(name).inputs}


@pytest.mark.parametrize("name", SHAPES)
def test_the_graph_computes_what_torch_does(name: str) -> None:
    for sample in samples(name):
        with torch.no_grad():
            wanted = module(name)(torch.tensor(sample, dtype=torch.float32)[None]).double().numpy()
        found = evaluate(imported(name), sample)[imported(name).output]
        assert np.allclose(found.reshape(wanted.shape), wanted, atol=1e-5)


def test_what_runs_on_the_host_is_named_with_module_and_line() -> None:
    first, second, third = imported("sorted").hosts
    assert [source.operation for source in first.sources] == ["aten.mish.default", "aten.sort.default"]
    assert [source.module for source in first.sources] == ["act", ""]
    assert {source.where.rpartition(":")[0] for op in (first, second, third) for source in op.sources} == {__file__}
    assert quantized("sorted").hosts[0].where.startswith("aten.mish.default, module act (" + __file__)


def test_a_move_of_elements_says_what_it_is_for() -> None:
    (host,) = quantized("woven").hosts
    assert host.where.startswith(f"elements moved for aten.linear.default, module last ({__file__}")


def test_a_norm_without_a_rule_is_one_operation_of_its_module() -> None:
    (part,) = parts(tiny("cohere"), 4)
    hosts = part.graph().hosts
    assert [{source.module for source in op.sources} for op in hosts] == [
        {f"model.layers.{i}.input_layernorm"} for i in range(2)
    ] + [{"model.norm"}]


def test_only_what_has_no_rule_leaves_the_accelerator() -> None:
    kinds = [type(op).__name__ for op in imported("fused").ops]
    assert kinds == ["Input", "Gemm", "Gemm", "Gemm", "Host", "Gemm"]


@pytest.mark.parametrize("wide", [False, True], ids=["narrow", "wide"])
@pytest.mark.parametrize("name", SHAPES)
def test_the_integer_graph_follows_the_float_one(name: str, wide: bool) -> None:
    graph, wanted = quantized(name, wide), evaluate(imported(name), samples(name)[0])[imported(name).output]
    found = execute(graph, inputs(name)) * graph.output_scale
    assert np.std(found - wanted) / np.std(wanted) < (0.1 if name == "sorted" else 0.05)


def test_a_sum_read_on_the_other_side_of_the_host_is_int8() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
            self.norm, self.last = nn.LayerNorm(4), nn.LayerNorm(4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            x = x + self.second(x)
            x = x + self.third(self.norm(x))
            x = x + torch.sin(self.second(self.norm(x)))
            return self.last(x)

    graph = import_model(Twice(), torch.zeros(1, 3, 4), "twice", host=True)
    rng = np.random.default_rng(0)
    made = quantize(graph, [rng.normal(0, 1, (3, 4)) for _ in range(4)], wide=True)
    assert [op.wide_out for op in made.ops if isinstance(op, QAdd)] == [True, False, False]
    assert len(split(made).segments) == 2


@pytest.mark.parametrize("manifest", MACHINES, ids=lambda m: f"T{m.tile}D{m.dot}")
@pytest.mark.parametrize("name", SHAPES)
def test_programs_with_the_host_between_give_the_bits_of_the_graph(name: str, manifest: object) -> None:
    for wide in (False, True):
        with open_runners(["integer", "golden"], manifest, effort=0) as runners:  # type: ignore[arg-type]
            found = [runner.run(quantized(name, wide), inputs(name)) for runner in runners]
        assert np.array_equal(found[0], found[1])


def test_every_tensor_that_crosses_is_an_output_of_one_program() -> None:
    graph = quantized("residual")
    parts = split(graph).parts
    assert [type(part).__name__ for part in parts] == ["Segment", "QHost"] * 2 + ["Segment"]
    values = execute_all(graph, inputs("residual"))
    image = ModelImage(MACHINES[0], effort=0)
    for part in parts:
        if isinstance(part, Segment):
            program = image.program(part.graph, False)
            assert [slot.name for slot in program.outputs] == list(part.graph.outputs)
            assert all(np.abs(values[name]).max() <= 128 for name in part.crossing)
    assert len(split(graph).segments[0].crossing) == 2


def test_one_program_of_a_graph_with_the_host_in_it_is_refused() -> None:
    with pytest.raises(InputError, match=r"aten\.mish\.default, module act .* is no part of a program"):
        build(quantized("sorted"), MACHINES[0], Choices())


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(x)
        y[:, 0].mul_(2.0)
        return y


@pytest.mark.parametrize(
    ("made", "why"), [(Noisy, "rand_like.* makes random numbers"), (InPlace, "changes an operand in place")]
)
def test_what_the_host_cannot_stand_in_for_is_refused(made: type[nn.Module], why: str) -> None:
    with pytest.raises(InputError, match=why):
        import_model(made(), torch.zeros(1, 3, 4), "refused", host=True)


def test_a_result_that_is_not_finite_is_refused_with_its_module() -> None:
    logs = import_model(Logs(), torch.zeros(1, 3, 4), "logs", host=True)
    made = quantize(logs, [np.full((3, 4), 2.0), np.ones((3, 4))])
    with pytest.raises(InputError, match=r"aten\.log\.default.*the host's result is not finite"):
        execute(made, {op.out: np.zeros((op.rows, op.cols), dtype=np.int64) for op in made.inputs})


class Logs(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.log(x)


def cohere() -> tuple[TextModel, IntegerGraph, Int]:
    """A tiny Cohere decoder of 12 rows as a text model, its graph, and its embeddings."""
    model = tiny("cohere")
    (part,) = parts(model, 12)
    table = model.get_input_embeddings().weight.detach().double().numpy()
    rng = np.random.default_rng(0)
    graph = quantize(part.graph(), [table[rng.integers(0, len(table), 12)] for _ in range(3)], wide=True)
    (source,) = graph.inputs
    rows = np.clip(np.rint(table / source.scale), -127, 127).astype(np.int64)
    return (
        TextModel(
            prefill=lambda count: looked_up(window(graph, 0, count), rows),
            step=lambda past: step(graph, past, rows),
            inputs=lambda tokens: {source.out: np.array(tokens)},
        ),
        graph,
        rows,
    )


def test_text_is_generated_with_norms_on_the_host() -> None:
    model, graph, rows = cohere()
    assert all(op.rowwise for op in graph.hosts)
    with open_runners(["integer", "golden"], MACHINES[0], effort=0) as runners:
        found = generate(model, text_prompt(model, [3, 1, 4, 1]), 3, runners)
    assert len(found.tokens) == 3
    whole = execute(graph, {graph.inputs[0].out: rows[[3, 1, 4, 1, *found.tokens, 0, 0, 0, 0, 0]]})
    assert np.array_equal(whole[3:6], np.array(found.logits))


def test_decode_steps_of_what_mixes_rows_on_the_host_are_refused() -> None:
    with pytest.raises(InputError, match="the host computes rows of each other"):
        window(quantized("sorted"), 0, 2)


@pytest.fixture(scope="module")
def expert() -> Design:
    """The build that `test_api` uses."""
    sizes = {"T": 2, "D": 4, "WORDS": 512, "ACT_LANES": 2, "MATRIX_PARAMS": 256, "VECTOR_PARAMS": 128, "QUEUE": 4}
    return with_parameters(read_design(EXPERT), **sizes)


@pytest.mark.xdist_group("rtl")
def test_the_expert_gives_the_bits_of_the_graph(expert: Design) -> None:
    with open_runners(["integer", "rtl"], expert.manifest, expert, MemoryModel(9, 0.2, 3), effort=0) as runners:
        for name in SHAPES:
            found = [runner.run(quantized(name, True), inputs(name)) for runner in runners]
            assert np.array_equal(found[0], found[1]), name
    assert len(runners[1].cycles) == sum(len(split(quantized(name, True)).segments) for name in SHAPES)


@pytest.mark.xdist_group("rtl")
def test_a_run_adds_up_its_programs(expert: Design) -> None:
    model = HostedModel(quantized("residual"), ModelImage(expert.manifest, effort=0))
    golden, modelled, measured = (api.run(model, on, expert) for on in ("golden", "cycles", "rtl"))  # type: ignore[arg-type]
    assert measured.outputs == golden.outputs
    assert measured.counters["mac"] == modelled.counters["mac"] == sum(p.mac_beats for p in model.programs)
    assert measured.cycles == pytest.approx(modelled.cycles, rel=0.1)


def test_a_profile_names_what_the_host_does() -> None:
    found = api.profile(HostedModel(quantized("sorted"), ModelImage(MACHINES[0], effort=0)), MACHINES[0])
    assert found.cycles > 0
    assert [layer.name for layer in found.layers] == ["linear", "linear_1", "add"]
    assert "module act" in found.host[0]
