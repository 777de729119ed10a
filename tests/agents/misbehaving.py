"""A provider on localhost that misbehaves to the byte: each request gets the next act of a script."""

from __future__ import annotations

import json
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.agents.fake_server import listening

Step = bytes | float
Act = Sequence[Step]
"""What is sent: bytes, pauses (s), and at RESET the connection is torn down."""
RESET = -1.0


@dataclass
class Provider:
    """Where it listens, and the head and body of every request."""

    url: str
    heads: list[str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)
    """Set when a client closed its connection in the middle of an act."""


@contextmanager
def misbehaving(*acts: Act, echo: bool = False) -> Iterator[Provider]:
    """Serve `acts` in order, then HTTP 500. `echo`: what was sent as `{key}` is replaced by the request's API key."""
    left, state = list(acts), Provider("")

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = self.rfile.readline()
                if not line:
                    return
                head += line
            said = head.decode("latin-1")
            fields = dict(line.split(": ", 1) for line in said.lower().splitlines()[1:] if ": " in line)
            state.heads.append(said)
            state.asked.append(json.loads(self.rfile.read(int(fields.get("content-length", 0))) or b"{}"))
            act = left.pop(0) if left else http(500, {"error": {"message": "the script is over"}})
            key = fields.get("x-api-key") or fields.get("authorization", "").removeprefix("bearer ")
            try:
                for step in act:
                    self._do(step.replace(b"{key}", key.encode()) if echo and isinstance(step, bytes) else step)
            except OSError:
                state.hung_up.set()

        def _do(self, step: Step) -> None:
            if isinstance(step, bytes):
                self.wfile.write(step)
            elif step == RESET:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            else:
                end = time.monotonic() + step
                self.connection.settimeout(0.02)
                while time.monotonic() < end and not state.hung_up.is_set():
                    try:
                        if not self.connection.recv(1):
                            state.hung_up.set()
                    except TimeoutError:
                        continue

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    with listening(server) as state.url:
        yield state


def http(
    status: int, body: object = b"", kind: str = "application/json", headers: Mapping[str, str] | None = None
) -> list[Step]:
    """One whole answer; `body` as JSON unless it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    length = {} if b"{key}" in data else {"content-length": str(len(data))}
    return [_head(status, {"content-type": kind, **length, **(headers or {})}), data]


def streamed(events: Sequence[tuple[str, object]], kind: str = "text/event-stream") -> list[Step]:
    """Server-sent events up to the end of the connection."""
    return [_head(200, {"content-type": kind}), *(event(name, data) for name, data in events)]


def broken_off(events: Sequence[tuple[str, object]], end: float = 0.0) -> list[Step]:
    """Server-sent events in chunks, the last of which never comes; with RESET as `end` it ends harder."""
    head = _head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
    pieces = [event(name, data) for name, data in events]
    return [head, *(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces), end]


def event(name: str, data: object) -> bytes:
    """One server-sent event; `data` as JSON unless it is text."""
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Said\r\nconnection: close\r\n{lines}\r\n".encode()
