"""A Spec: what is asked of a campaign. Model and phase, technology, clock, budgets, objective, search space."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from hwlib.documents import read_document
from hwlib.errors import InputError

NAME = r"^[a-z0-9][a-z0-9-]{0,40}$"
"""What a spec, and a campaign, may be called."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Workload(_Strict):
    """What runs on the accelerator: a model by name or file, its phase and batch."""

    model: str = "digits-vit"
    phase: Literal["encode", "prefill", "decode"] = "encode"
    batch: int = Field(default=1, ge=1, le=1024)

    @field_validator("phase")
    @classmethod
    def _phase_has_effect(cls, phase: str) -> str:
        if phase != "encode":
            raise ValueError("a campaign runs the whole model once, which is phase encode; no other has an effect")
        return phase

    @field_validator("batch")
    @classmethod
    def _batch_has_effect(cls, batch: int) -> int:
        if batch != 1:
            raise ValueError("a campaign runs one inference, which is batch 1; no other has an effect")
        return batch


class MemorySpec(_Strict):
    """The memory behind the AXI port: latency in cycles; bandwidth is one beat a cycle of `axi_bytes`."""

    axi_bytes: int = Field(default=8, ge=4, le=32)
    latency_cycles: int = Field(default=20, ge=1, le=1000)


class Budgets(_Strict):
    """Upper bounds a design must keep; None means unbounded."""

    area_um2: float | None = Field(default=None, gt=0)
    power_mw: float | None = Field(default=None, gt=0)
    latency_us: float | None = Field(default=None, gt=0)
    scratchpad_kib: float = Field(default=32, gt=0, le=4096)
    macs_per_cycle: int = Field(default=64, ge=8, le=4096)


class Spec(_Strict):
    """The ask. `objective` is minimised over designs that keep the budgets."""

    name: str = Field(pattern=NAME)
    workload: Workload = Workload()
    technology: str = "osu018"
    clock_ns: float = Field(default=12.0, gt=0.1, le=1000)
    memory: MemorySpec = MemorySpec()
    budgets: Budgets = Budgets()
    objective: Literal["area_delay", "delay", "area", "energy_delay", "energy"] = "area_delay"


def read_spec(path: Path) -> Spec:
    """The spec at `path`; InputError names the file, the field and the rule it breaks."""
    try:
        return read_document(path, Spec, "docs/spec.md")
    except FileNotFoundError:
        raise InputError("no such spec file", str(path), "write one as in docs/spec.md") from None
