"""What a bench is made of: its own module, and those it leans on, however far away."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwlib import contracts
from verification import bench_sources


def test_a_bench_is_its_own_module_and_all_that_it_imports() -> None:
    texts = bench_sources.bench_texts("load_unit")
    assert {"load_unit", "beginnings", "transfers", "driver", "exchange", "scenario"} <= texts.keys()
    assert not {"norm", "sequencer", "row_blocks"} & texts.keys()


@pytest.mark.parametrize(("edited", "affected"), [("norm", {"norm"}), ("row_blocks", {"eltwise", "norm", "softmax",
                                                                                      "vector_unit"})])  # fmt: skip
def test_an_edit_voids_what_was_decided_with_it_alone(
    edited: str, affected: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = [name for name in contracts.names() if name != "top"]
    before = {name: bench_sources.judges_digest(name) for name in blocks}
    folder = Path(bench_sources.verification.benches.__file__).parent
    for path in folder.glob("*.py"):
        (tmp_path / path.name).write_text(path.read_text() + ("# another\n" if path.stem == edited else ""))
    monkeypatch.setattr(bench_sources.verification.benches, "__file__", str(tmp_path / "__init__.py"))
    bench_sources.judges_digest.cache_clear()
    after = {name: bench_sources.judges_digest(name) for name in blocks}
    bench_sources.judges_digest.cache_clear()
    assert {name for name in blocks if before[name] != after[name]} == affected
