"""Parameter points the public benches do not use: drawn from what a manifest allows, small enough to be quick."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import product

from hwlib import contracts

TILES, DOTS = (2, 4, 8), (1, 2, 4, 8)
VALUES: Mapping[str, Mapping[str, Sequence[int]]] = {
    "array": {"T": TILES, "D": DOTS},
    "requantizer": {"T": (8, 16, 32)},
    "activation": {"T": TILES, "D": DOTS, "LANES": (1, 2, 4, 8), "TABLES": (1, 2, 3, 4)},
    "matrix_unit": {
        "T": TILES,
        "D": DOTS,
        "ACT_LANES": (1, 2, 4, 8),
        "ACT_TABLES": (1, 2, 3, 4),
        "PARAMS": (64, 128, 256),
        "ROW_SCALES": (8, 16, 32),
    },
    "softmax": {"T": (8, 16)},
    "norm": {"T": (8, 16)},
    "eltwise": {"T": (8, 16)},
    "vector_unit": {"T": TILES, "D": DOTS, "PARAMS": (64, 128, 256)},
    "scratchpad": {"T": TILES, "D": DOTS, "WORDS": (64, 128, 256), "BANKS": (2, 4, 8)},
    "load_unit": {"T": TILES, "D": DOTS, "AXI_BYTES": (4, 8, 16)},
    "store_unit": {"T": TILES, "D": DOTS, "AXI_BYTES": (4, 8, 16)},
    "sequencer": {"AXI_BYTES": (4, 8, 16), "QUEUE": (2, 4, 8, 16), "WORDS": (512, 1024, 2048), "D": DOTS},
    "control": {"T": (2, 4, 8, 16, 32), "D": (1, 2, 4, 8, 16), "AXI_BYTES": (4, 8, 16)},
}
"""What each parameter may be at a sealed point."""
MULTIPLIERS = 64
"""T*T*D a point may have at most: more takes long to build."""


def hidden_points(
    block: str, used: Sequence[Mapping[str, int]], rng: random.Random, count: int
) -> list[dict[str, int]]:
    """`count` points drawn from the legal ones that are not `used`; they differ in as many parameters as can be."""
    legal = [point for point in candidates(block) if point not in used]
    first = rng.choice(legal)
    rest = sorted((p for p in legal if p != first), key=lambda p: (-_distance(first, p), rng.random()))
    return [first, *rest[: count - 1]]


def candidates(block: str) -> list[dict[str, int]]:
    """Every point `hidden_points` may draw, the public ones included."""
    values = VALUES[block]
    points = [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]
    contract = contracts.load(block)
    for point in points:
        contract.check(point)
    return [point for point in points if _legal(point)]


def _legal(point: Mapping[str, int]) -> bool:
    """What a manifest asks of the design's parameters, as far as the block has them; and that it is small."""
    tile, word = point.get("T", 2), point.get("T", 8) * point.get("D", 8)
    lanes = point.get("LANES", point.get("ACT_LANES", 1))
    small = "D" not in point or tile * tile * point["D"] <= MULTIPLIERS or "AXI_BYTES" in point
    return word >= 8 and lanes <= tile and point.get("AXI_BYTES", 4) <= max(word, 8) and small and _fits(point)


def _fits(point: Mapping[str, int]) -> bool:
    return point.get("BANKS", 1) * 2 <= point.get("WORDS", 2)


def _distance(one: Mapping[str, int], other: Mapping[str, int]) -> int:
    return sum(one[name] != other[name] for name in one)
