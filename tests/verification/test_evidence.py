"""Evidence is reused only for exactly what was judged, and a damaged entry is no evidence."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hwlib.design import Design, read_design
from tests.verification.conftest import expert_text
from verification import toolchain
from verification.evidence import Evidence
from verification.gates import Candidate, Context, Finding, GateResult, policy, simulate, synthesise

RESULT = GateResult("policy", "array", False, (Finding("wrong", "array.v", 7, "array"),), {"files": 2}, seconds=1.5)


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return Evidence(tmp_path / "evidence")


def entry(evidence: Evidence) -> Path:
    (found,) = evidence.folder.rglob("*.json")
    return found


def test_what_is_kept_is_found_and_marked_as_reused(evidence: Evidence) -> None:
    assert evidence.find("ab12") is None
    evidence.keep("ab12", RESULT)
    assert evidence.find("ab12") == replace(RESULT, reused=True)
    assert Evidence(evidence.folder).find("ab12") == replace(RESULT, reused=True)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "not UTF-8": lambda data: b"\xff" + data,
    "verdict turned": lambda data: data.replace(b'"passed": false', b'"passed": true'),
    "other result": lambda data: json.dumps(json.loads(data) | {"result": {"gate": "lint"}}).encode(),
    "no object": lambda data: b"[]",
    "fields missing": lambda data: b"{}",
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_entry_counts_as_absent(evidence: Evidence, how: str) -> None:
    evidence.keep("ab12", RESULT)
    path = entry(evidence)
    damaged = DAMAGE[how](path.read_bytes())
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    assert evidence.find("ab12") is None
    evidence.keep("ab12", RESULT)
    assert evidence.find("ab12") is not None


def test_an_entry_under_another_name_counts_as_absent(evidence: Evidence) -> None:
    evidence.keep("ab12", RESULT)
    shutil.copy(entry(evidence), evidence.folder / "ab" / "ab13.json")
    assert evidence.find("ab13") is None


def test_an_interrupted_write_leaves_the_old_entry(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence.keep("ab12", RESULT)

    def die(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", die)
    with pytest.raises(KeyboardInterrupt):
        evidence.keep("ab12", replace(RESULT, passed=True))
    assert evidence.find("ab12") == replace(RESULT, reused=True)
    assert len(list(evidence.folder.rglob("*"))) == 2  # the folder and the entry: nothing half-written


def test_readers_and_writers_at_once_see_whole_entries(evidence: Evidence) -> None:
    results = [replace(RESULT, seconds=float(n), metrics={"pad": "x" * 20_000}) for n in range(4)]
    evidence.keep("ab12", results[0])
    seen: list[GateResult | None] = []

    def write(result: GateResult) -> None:
        for _ in range(20):
            evidence.keep("ab12", result)
            seen.append(evidence.find("ab12"))

    threads = [threading.Thread(target=write, args=(result,)) for result in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 80
    assert all(result is not None and replace(result, reused=False) in results for result in seen)


def test_the_key_is_of_the_content_not_the_place(
    evidence: Evidence, expert: Design, spoiled: Callable[[dict[str, str]], Design]
) -> None:
    copy = spoiled({})
    for scope in ("array", "design"):
        keys = [evidence.key(policy_gate(), Candidate(d, scope), Context()) for d in (expert, copy)]
        assert keys[0] == keys[1]


def policy_gate() -> Any:
    return policy


def test_the_key_follows_the_files_a_block_is_made_of(
    evidence: Evidence, expert: Design, spoiled: Callable[[dict[str, str]], Design]
) -> None:
    changed = spoiled({"array_csa.v": expert_text("array_csa.v") + "\n"})

    def same(scope: str) -> bool:
        keys = {evidence.key(policy_gate(), Candidate(d, scope), Context()) for d in (expert, changed)}
        return len(keys) == 1

    assert not same("array")
    assert not same("matrix_unit"), "it instantiates the array"
    assert not same("design")
    assert same("softmax")


def test_the_key_of_a_design_follows_its_manifest(evidence: Evidence, expert: Design, tmp_path: Path) -> None:
    shutil.copytree(expert.folder, tmp_path / "other")
    manifest = tmp_path / "other" / "design.yaml"
    manifest.write_text(manifest.read_text().replace("QUEUE: 8", "QUEUE: 4"))
    other = read_design(tmp_path / "other")
    gate: Any = synthesise
    assert evidence.key(gate, Candidate(expert), Context()) != evidence.key(gate, Candidate(other), Context())


def test_the_key_follows_gate_version_settings_and_tools(
    evidence: Evidence, expert: Design, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = Candidate(expert, "array")
    gate: Any = SimpleNamespace(NAME="simulate", VERSION=1, settings=simulate.settings)
    context = Context(transactions=100)
    keys = [evidence.key(gate, candidate, context)]
    keys.append(evidence.key(gate, candidate, replace(context, transactions=101)))
    keys.append(evidence.key(gate, candidate, replace(context, seed=2)))
    keys.append(evidence.key(gate, candidate, replace(context, simulators=("icarus",))))
    gate.VERSION = 2
    keys.append(evidence.key(gate, candidate, context))
    gate.NAME = "other"
    keys.append(evidence.key(gate, candidate, context))
    monkeypatch.setattr(toolchain, "fingerprint", lambda: "iverilog=99")
    keys.append(evidence.key(gate, candidate, context))
    assert len(set(keys)) == len(keys)


def test_jobs_and_progress_do_not_change_the_key(evidence: Evidence, expert: Design) -> None:
    gate: Any = simulate
    candidate = Candidate(expert, "array")
    context = Context()
    quiet = replace(context, jobs=7, progress=lambda gate, scope, state: print(state))
    assert evidence.key(gate, candidate, context) == evidence.key(gate, candidate, quiet)
