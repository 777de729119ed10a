"""Importing torch modules: any way of writing a transformer, and what is said of what is not one."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hwlib.errors import InputError
from mfm.models.graph import Attention, Gemm, Graph, evaluate
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


class Refused(nn.Module):
    """A module whose `forward` after a linear layer is given."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(4, 4)


class Sine(Refused):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.up(x))


class Product(Refused):
    def forward(self, x: Tensor) -> Tensor:
        y = self.up(x)
        return y * y


class Tanh(Refused):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.gelu(self.up(x), approximate="tanh")


class Causal(Refused):
    def forward(self, x: Tensor) -> Tensor:
        y = self.up(x)
        return nn.functional.scaled_dot_product_attention(y, y, y, is_causal=True)


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
        (Product, (2, 4), r"aten\.mul\.Tensor \(node mul\): a product of two tensors"),
        (Tanh, (2, 4), r"aten\.gelu\.default \(node gelu\): the approximation 'tanh'"),
        (Causal, (2, 4), r"\(node scaled_dot_product_attention\): masked, causal"),
        (Overlapping, (1, 5, 5), r"aten\.conv2d\.default \(node conv2d\): only convolutions whose stride"),
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
    assert forward.co_firstlineno < int(line) <= forward.co_firstlineno + 2


def test_an_output_that_no_operation_computes_is_refused() -> None:
    class Row(Refused):
        def forward(self, x: Tensor) -> Tensor:
            return self.up(x)[:, :1]

    with pytest.raises(InputError, match="output: only some rows are returned"):
        import_model(Row(), torch.zeros(1, 3, 4), "row")
