"""A small vision transformer in plain torch (Dosovitskiy et al. 2021; pre-norm, class token, exact GELU)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class VitConfig:
    """Shape of the model. Images are [batch, size, size], one channel."""

    size: int = 8
    patch: int = 2
    width: int = 64
    heads: int = 4
    ff: int = 128
    depth: int = 2
    classes: int = 10


class Attention(nn.Module):
    """Multi-head self-attention over [batch, tokens, width]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        joined: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return joined


class Block(nn.Module):
    """A pre-norm encoder block."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width)
        self.attention = Attention(config.width, config.heads)
        self.norm2 = nn.LayerNorm(config.width)
        self.up = nn.Linear(config.width, config.ff)
        self.down = nn.Linear(config.ff, config.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.down(nn.functional.gelu(self.up(self.norm2(x))))
        return out


class VisionTransformer(nn.Module):
    """Logits [batch, classes] of images [batch, size, size]."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        self.config = config
        patches = (config.size // config.patch) ** 2
        self.embed = nn.Linear(config.patch**2, config.width)
        self.token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.position = nn.Parameter(torch.randn(1, patches + 1, config.width) * 0.5)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.classes)

    def forward(self, images: Tensor) -> Tensor:
        c = self.config
        side = c.size // c.patch
        x = images.view(-1, side, c.patch, side, c.patch).transpose(2, 3).reshape(-1, side * side, c.patch**2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), self.embed(x)], dim=1) + self.position
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x)[:, 0])
        return logits
