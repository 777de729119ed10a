"""Traces: a span for the campaign, each node, gate and model call, where an OpenTelemetry endpoint is configured.

The standard variables configure it (OTEL_EXPORTER_OTLP_ENDPOINT and others); without them nothing is imported for it.
Spans hold names, counts and verdicts: no prompt, answer, finding, key or RTL, and no text of an exception.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from agents.progress import Event, Progress
from hwlib.errors import InputError, plain

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"

Value = str | bool | int | float | Sequence[str]
Note = Callable[[Mapping[str, Value]], None]
"""Adds attributes to a span that is open."""
R = TypeVar("R")


class Traces(Protocol):
    """Where spans go."""

    def span(self, name: str, attributes: Mapping[str, Value], client: bool = False) -> AbstractContextManager[Note]:
        """A span around a block, a child of the one around it; `client`: it is a call of another service."""


class Untraced:
    """No traces are wanted."""

    def span(self, name: str, attributes: Mapping[str, Value], client: bool = False) -> AbstractContextManager[Note]:
        """Nothing."""
        return nullcontext(_unnoted)


def _unnoted(attributes: Mapping[str, Value]) -> None:
    pass


class Traced:
    """Spans of an OpenTelemetry tracer."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, Value], client: bool = False) -> Iterator[Note]:
        """A span; an exception that passes through gives it its class as `error.type`, and nothing of its text."""
        from langgraph.errors import GraphBubbleUp
        from opentelemetry.trace import SpanKind, StatusCode

        with self._tracer.start_as_current_span(
            name, kind=SpanKind.CLIENT if client else SpanKind.INTERNAL, attributes=attributes,
            record_exception=False, set_status_on_exception=False,
        ) as span:  # fmt: skip
            try:
                yield span.set_attributes
            except GraphBubbleUp:  # the graph waits for a review: nothing failed
                raise
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise


def node(step: Callable[..., R]) -> Callable[..., R]:
    """A node of the graph with a span around it."""

    @functools.wraps(step)
    def spanned(state: Any, runtime: Any) -> R:
        if runtime.context is None:
            return step(state, runtime)
        order = state.get("order") or state
        about = {"rtloom.node": step.__name__, "rtloom.round": order.get("round", 0)}
        about |= {"rtloom.block": order["block"]} if "block" in order else {}
        with runtime.context.traces.span(f"node {step.__name__}", about):
            return step(state, runtime)

    return spanned


def configured() -> bool:
    """Whether an endpoint for traces is configured; InputError for a protocol that is not spoken."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    none = os.environ.get("OTEL_TRACES_EXPORTER", "").strip() == "none"
    if off or none or not any(os.environ.get(name, "").strip() for name in ENDPOINTS):
        return False
    for name in PROTOCOLS:
        asked = os.environ.get(name, "").strip()
        if asked and asked != PROTOCOL:
            raise InputError(f"'{plain(asked, 40)}' is not spoken", name, f"set it to {PROTOCOL}")
        if asked:
            break
    return True


def check() -> None:
    """InputError if traces are configured and cannot be made."""
    if configured():
        _packages()


def _packages() -> tuple[Any, Any, Any]:
    """The SDK's trace module, its export module, and the exporter's."""
    try:
        from opentelemetry.exporter.otlp.proto.http import trace_exporter
        from opentelemetry.sdk import trace
        from opentelemetry.sdk.trace import export
    except ImportError:
        where = next(name for name in ENDPOINTS if os.environ.get(name, "").strip())
        mend = "pip install 'rtloom[otel]', or unset it"
        raise InputError("traces need packages that are not installed", where, mend) from None
    return trace, export, trace_exporter


@contextmanager
def opened(progress: Progress) -> Iterator[Traces]:
    """Traces as the environment configures them, all sent when this closes. What cannot be sent is told once."""
    if not configured():
        yield Untraced()
        return
    trace, export, exporter = _packages()
    from opentelemetry.sdk.resources import Resource

    with _told(progress):
        named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        resource = Resource.create({} if named else {"service.name": "rtloom"})
        provider = trace.TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(export.BatchSpanProcessor(exporter.OTLPSpanExporter()))
        try:
            yield Traced(provider.get_tracer("rtloom"))
        finally:
            provider.shutdown()


class _Once(logging.Handler):
    """Tells the first complaint of OpenTelemetry; a collector that is away complains at every batch."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(logging.WARNING)
        self._progress, self._told = progress, False

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it."""
        if not self._told:
            self._told = True
            text = f"traces are not delivered, the campaign goes on: {plain(record.getMessage(), 160)}"
            self._progress(Event("note", "traces", text=text))


@contextmanager
def _told(progress: Progress) -> Iterator[None]:
    logger, handler = logging.getLogger("opentelemetry"), _Once(progress)
    passed_on, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = passed_on
