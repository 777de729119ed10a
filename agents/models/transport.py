"""The HTTP client under the providers' SDKs: no redirects, no compression, bounded answers."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from functools import lru_cache

import httpx2

MOST_BYTES = 32 << 20
"""Of one HTTP answer, its framing included; an answer's own limit is `heard.MOST_BYTES`."""


class TooLarge(Exception):
    """The server sends more than anyone asked for."""


class _Bounded(httpx2.SyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        left = MOST_BYTES
        for piece in self._inner:
            left -= len(piece)
            if left < 0:
                raise TooLarge
            yield piece

    def close(self) -> None:
        self._inner.close()


def http_client(silence_s: float) -> httpx2.Client:
    """A client that gives up after `silence_s` without a byte.

    It follows no redirect: the key would go along to wherever it leads. It asks for no compression, and takes none:
    a small compressed answer can be of any size.
    """
    return httpx2.Client(
        verify=_trust(),
        follow_redirects=False,
        timeout=httpx2.Timeout(silence_s, connect=min(30.0, silence_s)),
        headers={"accept-encoding": "identity"},
        event_hooks={"response": [_check]},
    )


@lru_cache
def _trust() -> ssl.SSLContext:
    """The certificates that are trusted; read once, for all clients."""
    return httpx2.create_ssl_context()


def _check(response: httpx2.Response) -> None:
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise httpx2.DecodingError(f"the answer is compressed ({coding[:20]}) though that was not asked for")
    assert isinstance(response.stream, httpx2.SyncByteStream), "a client that is not async"
    response.stream = _Bounded(response.stream)
