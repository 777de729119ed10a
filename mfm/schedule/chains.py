"""Finds what may pass through local storage row group by row group: GEMMs, and what alone reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mfm.compress.integer import QAdd, QGemm, QLayerNorm, QMul, QRmsNorm, QRope, operands

if TYPE_CHECKING:
    from mfm.schedule.lower import Lowering

RowOp = QGemm | QLayerNorm | QRmsNorm | QAdd | QMul | QRope


@dataclass(frozen=True)
class Chain:
    """What passes through local storage row group by row group.

    front: a GEMM, or two and their product, or one with the sum and the normalisation after it; second: the GEMM that
    alone reads it; add: the sum that alone reads that.
    """

    front: tuple[RowOp, ...]
    second: QGemm | None = None
    add: QAdd | None = None

    @property
    def ops(self) -> tuple[RowOp, ...]:
        return (*self.front, *(op for op in (self.second, self.add) if op is not None))


class Chains:
    """The chains of one lowering, which depend on what it has made so far."""

    def __init__(self, low: Lowering) -> None:
        self.low, self.graph = low, low.graph

    def _reader(self, name: str, after: int) -> RowOp | None:
        """The row-wise op that alone reads tensor `name`, once, if it may follow at once."""
        if self.low.readers[name] != 1:
            return None
        found = [op for op in self.graph.ops[after:] if name in operands(op)]
        if not found or found[0].out in self.low.held or not isinstance(found[0], RowOp):
            return None
        return found[0]

    def find(self, index: int, op: QGemm) -> Chain:
        """A GEMM, and with it the product, the GEMM and the sum that alone read it."""
        front: tuple[RowOp, ...] = (op,)
        reader = self._reader(op.out, index)
        if isinstance(reader, QMul):
            partner = self.graph.op(reader.b if reader.a == op.out else reader.a)
            if not self._joins(partner, op) or reader.rows != op.rows:
                return Chain(front)
            front = (op, partner, reader)  # type: ignore[assignment]
            reader = self._reader(reader.out, index)
        if isinstance(reader, QAdd) and len(front) == 1:
            return Chain(self._summed(op, reader))
        if not isinstance(reader, QGemm) or reader.rows != op.rows:
            return Chain(front)
        second, reader = reader, self._reader(reader.out, index)
        if not isinstance(reader, QAdd) or reader.rows != op.rows:
            return Chain(front, second)
        known = all(name in self.low.grids or name == second.out for name in (reader.a, reader.b))
        return Chain(front, second, reader if known else None)

    def _summed(self, op: QGemm, add: QAdd) -> tuple[RowOp, ...]:
        """The GEMM, the sum and a normalisation of it, as far as they may be made together."""
        known = all(name in self.low.grids or name == op.out for name in (add.a, add.b))
        if add.rows != op.rows or not known:
            return (op,)
        norms = (o for o in self.graph.ops if isinstance(o, (QLayerNorm, QRmsNorm)) and o.a == add.out)
        norm = next((o for o in norms if o.rows == op.rows and o.out not in self.low.held), None)
        return (op, add) if norm is None else (op, add, norm)

    def _joins(self, partner: object, op: QGemm) -> bool:
        """Whether `partner` is another GEMM of the same rows that can be made with `op`."""
        return (
            isinstance(partner, QGemm)
            and (partner.a, partner.rows) == (op.a, op.rows)
            and partner.out != op.out
            and self.low.readers[partner.out] == 1
            and not {partner.out} & (self.low.held | self.low.fused | set(self.low.grids))
        )
