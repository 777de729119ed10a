"""Kept gate results, each under the hash of all that decided it. A damaged entry counts as absent."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from hwlib.files import write_whole
from verification import cache, toolchain
from verification.judgement import Candidate, Context, Gate, GateResult


class Evidence:
    """A folder of results; safe for several processes and for being killed at any moment."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache.cache_root() / "evidence"
        self.folder.mkdir(parents=True, exist_ok=True)

    def key(self, gate: Gate, candidate: Candidate, context: Context) -> str:
        """Hash of the candidate's content, the gate's version and settings, and the toolchain."""
        parts = {
            "candidate": candidate.digest(),
            "gate": f"{gate.NAME} {gate.VERSION}",
            "settings": gate.settings(candidate, context),
            "tools": toolchain.fingerprint(),
        }
        return cache.digest(parts)

    def find(self, key: str) -> GateResult | None:
        """The result under `key`, marked as reused; None if absent or damaged."""
        try:
            entry = json.loads(self._path(key).read_text())
            body = json.dumps(entry["result"], sort_keys=True)
            if entry["sha256"] != hashlib.sha256(body.encode()).hexdigest() or entry["key"] != key:
                return None
            return GateResult.from_data(entry["result"] | {"reused": True})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, key: str, result: GateResult) -> None:
        """Store `result` under `key`, whole or not at all."""
        data = result.to_data()
        body = json.dumps(data, sort_keys=True)
        entry = {"key": key, "sha256": hashlib.sha256(body.encode()).hexdigest(), "result": data}
        write_whole(self._path(key), json.dumps(entry).encode())

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"
