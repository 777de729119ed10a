"""Where a campaign's graph keeps its checkpoints: a file in the campaign's folder, or a PostgreSQL server."""

from __future__ import annotations

import logging
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from agents.campaign import Campaign
from hwlib.errors import InputError, plain

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.checkpoint.postgres import PostgresSaver

FLAG = "--checkpoints"
FORM = "postgresql://USER@HOST:PORT/DATABASE"
_SECRETS = {"password", "sslpassword"}
_PATIENCE = {"connect_timeout": 10, "keepalives_idle": 30, "tcp_user_timeout": 30_000}
"""How long libpq waits for a server that does not answer (s, s, ms); by itself it would wait for ever."""
_THREAD = "thread"
"""The fact that holds the campaign's name on the server: campaigns of other people may be called the same."""
_SETUP_LOCK = 0x72746C6F6F6D
_SETUP_S = 30.0
_QUIET = logging.NullHandler()


@contextmanager
def opened(campaign: Campaign) -> Iterator[tuple[BaseCheckpointSaver[Any], str]]:
    """The campaign's checkpointer, and the name of its thread there.

    InputError if its server cannot be reached, or fails while it is used.
    """
    if not campaign.settings.checkpoints:
        from langgraph.checkpoint.sqlite import SqliteSaver  # here: it takes half a second, and most commands need none

        with closing(sqlite3.connect(campaign.checkpoints, check_same_thread=False, timeout=30)) as connection:
            connection.execute("pragma journal_mode=wal")
            yield SqliteSaver(connection), campaign.name
        return
    mend = f"when it is back: rtloom resume {campaign.name}"
    with _server(campaign.settings.checkpoints, mend) as saver:
        yield saver, _thread(campaign)


def check(address: str) -> None:
    """InputError unless `address` (empty: the campaign's folder) is a PostgreSQL server that takes checkpoints."""
    if not address:
        return
    check_form(address)
    with _server(address, "start it, and give its password in PGPASSWORD or ~/.pgpass"):
        pass


def check_form(address: str) -> None:
    """InputError if `address` is no PostgreSQL URL, or holds a password; what it says is not repeated then."""
    scheme, found, rest = address.partition("://")
    if not found or scheme not in ("postgresql", "postgres") or not rest:
        raise InputError("not the address of a PostgreSQL server", FLAG, f"write {FORM}")
    named = {name for name, _ in parse_qsl(rest.partition("?")[2], keep_blank_values=True)}
    if ":" in rest.rpartition("@")[0] or named & _SECRETS:
        raise InputError("the address holds a password", FLAG, "leave it out: it comes from PGPASSWORD or ~/.pgpass")


def forget(campaign: Campaign) -> None:
    """Remove what a server holds of a campaign that is given up; nothing if it cannot be reached."""
    thread = campaign.ledger.fact(_THREAD)
    if thread:
        with suppress(InputError), _server(campaign.settings.checkpoints, "") as saver:
            saver.delete_thread(thread)


def _thread(campaign: Campaign) -> str:
    if not campaign.ledger.fact(_THREAD):
        campaign.ledger.set_fact(_THREAD, f"{campaign.name}-{uuid.uuid4().hex}")
    return campaign.ledger.fact(_THREAD)


@contextmanager
def _server(address: str, mend: str) -> Iterator[PostgresSaver]:
    """A checkpointer on the server, its tables made; what goes wrong there while it is used is an InputError."""
    try:
        import psycopg
        from langgraph.checkpoint.postgres import PostgresSaver
    except ImportError:
        what = "PostgreSQL needs packages that are not installed"
        raise InputError(what, FLAG, "pip install 'rtloom[postgres]'") from None
    try:
        with closing(_connect(address)) as connection:
            saver = PostgresSaver(connection)
            _make_tables(saver, connection)
            yield saver
    except psycopg.Error as error:
        why = plain(" ".join(str(error).split()) or type(error).__name__, 240)
        raise InputError(f"the checkpoint server failed: {why}", address, mend) from None


def _connect(address: str) -> Any:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.rows import dict_row

    # What it logs when a connection breaks would stand on stderr beside our one line.
    logging.getLogger("psycopg").addHandler(_QUIET)
    given = conninfo_to_dict(address)
    patience: dict[str, Any] = {name: value for name, value in _PATIENCE.items() if name not in given}
    return psycopg.connect(address, autocommit=True, prepare_threshold=None, row_factory=dict_row, **patience)


def _make_tables(saver: PostgresSaver, connection: Any) -> None:
    """One process at a time. Polls: one that waited inside a statement would hold up the other's index."""
    until = time.monotonic() + _SETUP_S
    locked = "select pg_try_advisory_lock(%s) as taken"
    while not connection.execute(locked, (_SETUP_LOCK,)).fetchone()["taken"]:
        if time.monotonic() > until:
            raise InputError("another process has been making its tables for 30 s", FLAG, "try again")
        time.sleep(0.1)
    try:
        saver.setup()
    finally:
        connection.execute("select pg_advisory_unlock(%s)", (_SETUP_LOCK,))
