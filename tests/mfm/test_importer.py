"""Importing torch modules: any way of writing a transformer, and what is said of what is not one."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hwlib.errors import InputError
from mfm.models.graph import Attention, Gemm, Graph, RmsNorm, Rope, evaluate
from mfm.models.importer import import_model
from mfm.models.vit import VisionTransformer, VitConfig

TINY = VitConfig(size=4, patch=2, width=8, heads=2, ff=12, depth=1, classes=3)


@lru_cache
def tiny_model() -> VisionTransformer:
    """An untrained transformer with every parameter random."""
    torch.manual_seed(0)
    model = VisionTransformer(TINY).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.4)
    return model


@lru_cache
def tiny_graph() -> Graph:
    """Its graph."""
    return import_model(tiny_model(), torch.zeros(1, 4, 4), "tiny")


def same(module: nn.Module, *shape: int) -> Graph:
    """The imported graph, after checking that it computes what the module does."""
    torch.manual_seed(1)
    graph = import_model(module, torch.zeros(1, *shape), "module")
    for _ in range(3):
        sample = torch.randn(1, *shape)
        with torch.no_grad():
            wanted = module(sample).double().numpy()
        found = evaluate(graph, sample.double().numpy())[graph.output]
        assert np.allclose(found.reshape(wanted.shape), wanted, atol=1e-4)
    return graph


def test_a_vision_transformer_computes_the_same() -> None:
    torch.manual_seed(2)
    images = torch.rand(5, 4, 4)
    with torch.no_grad():
        wanted = tiny_model()(images).double().numpy()
    for image, logits in zip(images, wanted, strict=True):
        values = evaluate(tiny_graph(), image.double().numpy())
        assert np.allclose(values[tiny_graph().output][0], logits, atol=1e-4)


def test_its_class_token_and_positions_become_one_constant() -> None:
    kinds = [type(op).__name__ for op in tiny_graph().ops]
    assert kinds.count("Constant") == 1
    assert kinds.count("Attention") == 1
    assert kinds.count("Gemm") == 6


class SelfAttention(nn.Module):
    """Attention spelled out: separate projections, scores divided, softmax, product."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))

    def split(self, x: Tensor) -> Tensor:
        return x.reshape(1, x.shape[1], self.heads, -1).permute(0, 2, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(self.q(x)), self.split(self.k(x)), self.split(self.v(x))
        weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), dim=-1)
        return self.o((weights @ v).transpose(1, 2).flatten(2))


def test_attention_spelled_out_is_recognised() -> None:
    graph = same(nn.Sequential(nn.Linear(6, 8), SelfAttention(2, 8)), 5, 6)
    (attention,) = (op for op in graph.ops if isinstance(op, Attention))
    assert len(attention.heads) == 2


def test_a_patch_convolution_is_a_linear_layer() -> None:
    class Patches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cut = nn.Conv2d(3, 5, 2, stride=2)

        def forward(self, x: Tensor) -> Tensor:
            return self.cut(x).flatten(2).transpose(1, 2)

    graph = same(Patches(), 3, 4, 6)
    assert [type(op).__name__ for op in graph.ops] == ["Input", "Gemm"]


def test_what_the_input_is_multiplied_by_goes_into_the_weights() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.first(x * 3.0 / 2.0)

    module = Scaled()
    (gemm,) = (op for op in same(module, 2, 4).ops if isinstance(op, Gemm))
    assert np.allclose(gemm.weight, 1.5 * module.first.weight.detach().numpy())


@pytest.mark.parametrize("function", ["relu", "silu", "tanh", "gelu", "sigmoid_gate", "quick"])
def test_activations_and_gates(function: str) -> None:
    bend = {
        "sigmoid_gate": lambda x: x * torch.sigmoid(x),
        "quick": lambda x: torch.sigmoid(1.702 * x) * x,
        "gelu": lambda x: nn.functional.gelu(x, approximate="tanh"),
    }.get(function) or getattr(torch.nn.functional, function)

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.up, self.down = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.down(bend(self.gate(x)) * self.up(x))

    kinds = [type(op).__name__ for op in same(Gated(), 3, 4).ops]
    assert kinds == ["Input", "Gemm", "Activation", "Gemm", "Mul", "Gemm"]


def test_a_root_mean_square_norm_written_out_takes_its_weight() -> None:
    class Norm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([0.5, 1.0, 2.0, -1.0]))

        def forward(self, x: Tensor) -> Tensor:
            return self.weight * (x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + 1e-3))

    for module in (Norm(), nn.RMSNorm(4)):
        (norm,) = (op for op in same(module, 3, 4).ops if isinstance(op, RmsNorm))
        assert norm.gamma.shape == (4,)


@pytest.mark.parametrize("spelled", ["halves", "neighbours", "partial"])
def test_rotary_embeddings_however_they_are_spelled(spelled: str) -> None:
    class Rotated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.Linear(4, 8)

        def forward(self, x: Tensor) -> Tensor:
            angle = torch.arange(3.0)[:, None] * torch.tensor([1.0, 0.3])
            y = self.up(x).view(1, 3, 2, 4).transpose(1, 2)
            if spelled == "neighbours":
                cos, sin = (f(angle).repeat_interleave(2, -1) for f in (torch.cos, torch.sin))
                turned = torch.stack((-y[..., 1::2], y[..., 0::2]), -1).flatten(-2)
                return (y * cos + turned * sin).transpose(1, 2).reshape(1, 3, 8)
            cos, sin = (torch.cat((f(angle), f(angle)), -1) for f in (torch.cos, torch.sin))
            if spelled == "partial":
                cos[:, 1::2], sin[:, 1::2] = 1, 0
            turned = torch.cat((-y[..., 2:], y[..., :2]), -1)
            return (y * cos + turned * sin).transpose(1, 2).reshape(1, 3, 8)

    (rope,) = (op for op in same(Rotated(), 3, 4).ops if isinstance(op, Rope))
    assert (rope.partner[rope.partner] == np.arange(8)).all()


@pytest.mark.parametrize("spelled", ["flag", "mask", "bias", "grouped", "written out"])
def test_causal_and_grouped_attention(spelled: str) -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = nn.Linear(4, 8), nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            q = self.q(x).view(1, 5, 4, 2).transpose(1, 2)
            k, v = (part(x).view(1, 5, 2, 2).transpose(1, 2) for part in (self.k, self.v))
            attend = nn.functional.scaled_dot_product_attention
            tokens = torch.arange(5)
            mask = tokens[:, None] >= tokens
            bias = torch.where(mask, 0.0, torch.finfo(torch.float32).min)
            if spelled == "grouped":
                y = attend(q, k, v, is_causal=True, enable_gqa=True)
                return y.transpose(1, 2).reshape(1, 5, 8)
            k, v = (p[:, :, None].expand(1, 2, 2, 5, 2).reshape(1, 4, 5, 2) for p in (k, v))
            if spelled == "written out":
                y = torch.softmax(q @ k.transpose(-1, -2) * 0.5 + bias, -1) @ v
            elif spelled == "flag":
                y = attend(q, k, v, is_causal=True)
            else:
                y = attend(q, k, v, attn_mask=mask if spelled == "mask" else bias)
            return y.transpose(1, 2).reshape(1, 5, 8)

    (attention,) = (op for op in same(Masked(), 5, 4).ops if isinstance(op, Attention))
    assert attention.causal
    first, second = attention.heads[:2]
    assert (first.k.columns == second.k.columns).all()
    assert (first.q.columns != second.q.columns).all()


class Refused(nn.Module):
    """A module whose `forward` after a linear layer is given."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(4, 4)


class Sine(Refused):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.up(x))


class Broadcast(Refused):
    def forward(self, x: Tensor) -> Tensor:
        return self.up(x) * self.up(x)[:, :1]


class Cube(Refused):
    def forward(self, x: Tensor) -> Tensor:
        return self.up(x) ** 3


class Dilated(Refused):
    """A mask that hides every other key."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(x)
        mask = torch.arange(2).expand(2, 2) == 0
        return nn.functional.scaled_dot_product_attention(y, y, y, attn_mask=mask)


class Swapped(Refused):
    """Pairs of columns summed, which is no rotation."""

    def forward(self, x: Tensor) -> Tensor:
        y, angle = self.up(x), torch.arange(8.0).view(2, 4)
        return y * angle.cos() + torch.cat((y[..., 2:], y[..., :2]), -1) * angle.sin()


class Overlapping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cut = nn.Conv2d(1, 2, 3, stride=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.cut(x)


@pytest.mark.parametrize(
    ("module", "shape", "why"),
    [
        (Sine, (2, 4), r"aten\.sin\.default \(node sin\): not an operation this stack knows"),
        (Broadcast, (2, 4), r"aten\.mul\.Tensor \(node mul\): it broadcasts a computed value"),
        (Cube, (2, 4), r"aten\.pow\.Tensor_Scalar \(node pow_1\): a power of 3"),
        (Dilated, (2, 4), r"\(node scaled_dot_product_attention\): an attention mask that is neither full nor causal"),
        (Swapped, (2, 4), r"aten\.add\.Tensor \(node add\): a sum of a tensor's elements that is not a rotation"),
        (Overlapping, (1, 5, 5), r"aten\.conv2d\.default \(node conv2d, module cut\): only convolutions whose stride"),
    ],
)
def test_what_cannot_be_imported_names_the_node_and_the_source_line(
    module: type[nn.Module], shape: tuple[int, ...], why: str
) -> None:
    with pytest.raises(InputError, match=why) as caught:
        import_model(module(), torch.zeros(1, *shape), "refused")
    file, _, line = caught.value.where.rpartition(":")
    assert file == __file__
    forward = module.forward.__code__
    assert forward.co_firstlineno < int(line) <= forward.co_firstlineno + 4


def test_an_output_that_no_operation_computes_is_refused() -> None:
    class Row(Refused):
        def forward(self, x: Tensor) -> Tensor:
            return self.up(x)[:, :1]

    with pytest.raises(InputError, match="output: only some rows are returned"):
        import_model(Row(), torch.zeros(1, 3, 4), "row")
