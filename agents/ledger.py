"""The campaign's ledger: costs, candidates, revisions, lessons and decisions in one SQLite file.

Every write is keyed by content, so a step that runs again after a kill writes the same rows again and nothing
is counted twice.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from agents.designers import Candidate
from agents.records import Cost, Figures, ModelCall, Revision
from hwlib.errors import InputError

_SCHEMA = """
create table if not exists charges (
    key text primary key, kind text, round integer, evaluations integer, wall_s real, tokens integer, money_usd real);
create table if not exists calls (key text primary key, body text);
create table if not exists candidates (id text primary key, round integer, body text);
create table if not exists revisions (revision text primary key, ordinal integer, body text);
create table if not exists lessons (key text primary key, round integer, body text);
create table if not exists decisions (tree_hash text primary key, revision text, approve integer, reason text);
create table if not exists facts (name text primary key, value text);
"""
_REVISION = TypeAdapter(Revision)
_CANDIDATE = TypeAdapter(Candidate)
_CALL = TypeAdapter(ModelCall)
T = TypeVar("T")
UNPAID = "unpaid"
"""The fact that a model call was refused: the limit it might have passed."""
MEND = "restore the campaign's folder, or remove it"
LESSONS_KEPT = 24
"""Lessons handed to a designer: the newest this many."""


class Ledger:
    """One SQLite file in WAL mode; safe to use from several threads, and to read from other processes."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._path = path
        with self._guarded():
            self._db = sqlite3.connect(path, check_same_thread=False, timeout=30, isolation_level=None)
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=normal")
            self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def charge(self, key: str, kind: str, round_: int, cost: Cost) -> None:
        """Book `cost` under `key`; booking a key again changes nothing."""
        values = (key, kind, round_, cost.evaluations, cost.wall_s, cost.tokens, cost.money_usd)
        self._write("insert or ignore into charges values (?,?,?,?,?,?,?)", *values)

    def book(self, key: str, call: ModelCall) -> None:
        """Book a model call, with what it cost; booking a key again changes nothing."""
        cost = (key, call.role, call.round, 0, 0.0, call.tokens, call.money_usd or 0.0)
        with self._lock, self._guarded():
            self._db.execute("begin immediate")
            with self._db:
                self._db.execute("insert or ignore into charges values (?,?,?,?,?,?,?)", cost)
                self._db.execute("insert or ignore into calls values (?,?)", (key, _CALL.dump_json(call).decode()))

    def calls(self) -> list[ModelCall]:
        """Every model call, in an order that does not depend on timing."""
        found = [self._read(_CALL, body) for (body,) in self._rows("select body from calls order by key")]
        return sorted(found, key=lambda call: (call.round, call.order, call.role))

    def reserve(self, key: str, kind: str, round_: int, most: int | None) -> bool:
        """Book one evaluation under `key`, unless that makes more than `most` in all; a booked key stands."""
        room = "? is null or (select coalesce(sum(evaluations),0) from charges) < ?"
        self._write(f"insert or ignore into charges select ?,?,?,1,0,0,0 where {room}", key, kind, round_, most, most)
        return bool(self._rows("select 1 from charges where key = ?", key))

    def spent(self, round_: int | None = None) -> Cost:
        """What was spent, in all or in one round."""
        columns = (
            "coalesce(sum(evaluations),0), coalesce(sum(wall_s),0), coalesce(sum(tokens),0), coalesce(sum(money_usd),0)"
        )
        where = "" if round_ is None else " where round = ?"
        row = self._rows(f"select {columns} from charges{where}", *([] if round_ is None else [round_]))[0]
        return Cost(int(row[0]), float(row[1]), int(row[2]), float(row[3]))

    def booked(self, prefix: str) -> int:
        """How many charges have keys that begin with `prefix`."""
        return int(self._rows("select count(*) from charges where substr(key, 1, ?) = ?", len(prefix), prefix)[0][0])

    def evaluations_under(self, prefix: str) -> int:
        """Evaluations booked under keys that begin with `prefix`."""
        counted = "select coalesce(sum(evaluations),0) from charges where substr(key, 1, ?) = ?"
        return int(self._rows(counted, len(prefix), prefix)[0][0])

    def put_candidate(self, candidate: Candidate) -> None:
        """Keep a candidate block with what its gates said."""
        body = _CANDIDATE.dump_json(candidate).decode()
        self._write("insert or replace into candidates values (?,?,?)", candidate.id, candidate.order.round, body)

    def candidate(self, identity: str) -> Candidate:
        """The candidate with that id."""
        return self._read(_CANDIDATE, self._rows("select body from candidates where id = ?", identity)[0][0])

    def candidates(self, before: int) -> list[Candidate]:
        """Candidates of rounds earlier than `before`, in an order that does not depend on timing."""
        rows = self._rows("select body from candidates where round < ? order by round, id", before)
        return [self._read(_CANDIDATE, body) for (body,) in rows]

    def put_revision(self, ordinal: int, revision: Revision) -> None:
        """Keep or update a revision."""
        body = _REVISION.dump_json(revision).decode()
        self._write("insert or replace into revisions values (?,?,?)", revision.revision, ordinal, body)

    def revisions(self) -> list[Revision]:
        """Every revision, oldest first."""
        rows = self._rows("select body from revisions order by ordinal")
        return [self._read(_REVISION, body) for (body,) in rows]

    def learn(self, key: str, round_: int, lesson: str) -> None:
        """Keep one lesson; the same key is kept once."""
        self._write("insert or ignore into lessons values (?,?,?)", key, round_, lesson)

    def lessons(self, before: int) -> tuple[str, ...]:
        """The newest lessons of rounds earlier than `before`, oldest of them first."""
        rows = self._rows(
            "select body from lessons where round < ? order by round desc, key desc limit ?", before, LESSONS_KEPT
        )
        return tuple(body for (body,) in reversed(rows))

    def put_decision(self, tree_hash: str, revision: str, approve: bool, reason: str) -> None:
        """Keep a person's decision on a tree."""
        self._write("insert or replace into decisions values (?,?,?,?)", tree_hash, revision, int(approve), reason)

    def void_decision(self, tree_hash: str) -> None:
        """Forget the decision on a tree: nobody decided on what is there now."""
        self._write("delete from decisions where tree_hash = ?", tree_hash)

    def decision(self, tree_hash: str) -> tuple[bool, str] | None:
        """(approved, reason) for the tree, or None while nobody decided."""
        rows = self._rows("select approve, reason from decisions where tree_hash = ?", tree_hash)
        return (bool(rows[0][0]), str(rows[0][1])) if rows else None

    def decisions(self) -> list[tuple[str, str, bool, str]]:
        """(tree hash, revision, approved, reason) of every decision."""
        rows = self._rows("select tree_hash, revision, approve, reason from decisions order by tree_hash")
        return [(str(tree), str(revision), bool(approve), str(reason)) for tree, revision, approve, reason in rows]

    def rejections(self) -> tuple[tuple[str, str], ...]:
        """(revision, reason) of every rejected revision, in the order they were made."""
        rows = self._rows(
            "select d.revision, d.reason from decisions d join revisions r on r.revision = d.revision "
            "where d.approve = 0 order by r.ordinal"
        )
        return tuple((str(revision), str(reason)) for revision, reason in rows)

    def set_fact(self, name: str, value: str) -> None:
        """Keep a single value, such as the campaign's state."""
        self._write("insert or replace into facts values (?,?)", name, value)

    def fact(self, name: str) -> str:
        """The value kept under `name`, or an empty string."""
        rows = self._rows("select value from facts where name = ?", name)
        return str(rows[0][0]) if rows else ""

    def facts(self, prefix: str) -> dict[str, str]:
        """The values under names that begin with `prefix`, by name in order."""
        found = "select name, value from facts where substr(name, 1, ?) = ? order by name"
        return dict(self._rows(found, len(prefix), prefix))

    def _write(self, statement: str, *values: object) -> None:
        with self._lock, self._guarded():
            self._db.execute(statement, values)

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, self._guarded():
            return self._db.execute(statement, values).fetchall()

    def _read(self, adapter: TypeAdapter[T], body: str) -> T:
        try:
            return adapter.validate_json(body)
        except ValidationError as error:
            what = f"a record that cannot be read: {error.errors()[0]['msg']}"
            raise InputError(what, str(self._path), MEND) from None

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """A file that is damaged, or no ledger at all, is an InputError that names it."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise InputError(f"not a usable ledger: {error}", str(self._path), MEND) from None


@contextmanager
def opened(path: Path) -> Iterator[Ledger]:
    """The ledger at `path`, closed afterwards."""
    ledger = Ledger(path)
    try:
        yield ledger
    finally:
        ledger.close()


def pareto_front(revisions: list[Revision]) -> tuple[Revision, ...]:
    """Measured revisions that none betters in area, latency and energy at once."""
    measured = [r for r in revisions if r.figures is not None and r.state != "failed"]
    return tuple(r for r in measured if not any(_dominates(o.figures, r.figures) for o in measured if o is not r))


def _dominates(a: Figures | None, b: Figures | None) -> bool:
    if a is None or b is None:
        return False
    pairs = [(a.area_um2, b.area_um2), (a.latency_us, b.latency_us), (a.energy_pj or 0.0, b.energy_pj or 0.0)]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)
