"""Traces: which spans a campaign makes, what is in them and what is not, and what happens without a collector."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agents import api, cli, traces
from agents.campaign import home, names
from agents.progress import Event
from agents.records import Budget
from hwlib.errors import InputError
from tests.agents.fake_server import Answer, serving
from tests.agents.stand_in import SPEC, ToyEvaluator, ToyLibrary, toy_designer
from tests.agents.test_llm import order, swap

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
KEY = "canary-key-81c2"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The SDK's exporter into memory, in place of the one that sends."""
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter").InMemorySpanExporter()
    monkeypatch.setattr(memory, "shutdown", lambda: None)  # it goes on to collect in the test's next campaign
    monkeypatch.setattr("opentelemetry.exporter.otlp.proto.http.trace_exporter.OTLPSpanExporter", lambda: memory)
    monkeypatch.setenv(ENDPOINT, NOWHERE)
    return memory


def search(**changes: Any) -> api.CampaignResult:
    """A campaign of the search designer."""
    given = {"budget": Budget(rounds=1), "evaluators": ToyEvaluator, "designers": toy_designer} | changes
    return api.start_campaign(SPEC, **given)


def test_a_campaign_its_nodes_and_its_gates_are_spans(spans: Any) -> None:
    search(budget=Budget(rounds=2))
    found = spans.get_finished_spans()
    (whole,) = [span for span in found if span.name == "campaign"]
    about = {"name": "toy", "designer": "search", "state": "accepted"}
    assert dict(whole.attributes) == {f"rtloom.campaign.{name}": value for name, value in about.items()}
    nodes = [span for span in found if span.name.startswith("node ")]
    names_of_all = ("plan", "write", "verify", "climb", "assemble", "gate", "measure", "decide", "accept", "settle")
    assert {span.name for span in nodes} == {f"node {name}" for name in names_of_all}
    assert {span.parent.span_id for span in nodes} == {whole.context.span_id}
    gates = [span for span in found if span.name.startswith("gate ")]
    by_id = {span.context.span_id: span for span in nodes}
    assert {by_id[span.parent.span_id].name for span in gates} == {"node verify", "node assemble", "node gate"}
    (refused,) = [span for span in gates if not span.attributes["rtloom.gate.passed"]]
    assert dict(refused.attributes) == {"rtloom.gate.name": "simulate", "rtloom.gate.scope": "array",
                                        "rtloom.gate.passed": False, "rtloom.round": 1}  # fmt: skip
    assert by_id[refused.parent.span_id].name == "node assemble"
    assert found[0].resource.attributes["service.name"] == "rtloom"


def test_waiting_for_a_review_is_no_error_and_a_fault_is_one_without_its_text(spans: Any) -> None:
    assert search(review="wait").status.state == "waiting"
    assert not [span for span in spans.get_finished_spans() if "error.type" in span.attributes]

    class Broken(ToyEvaluator):
        """A judge whose tool is gone."""

        def check_block(self, *judged: object, **how: object) -> Any:
            raise InputError(f"the tool is gone: {KEY}")

    with pytest.raises(InputError):
        search(name="broken", evaluators=Broken)
    failed = [span for span in spans.get_finished_spans() if span.attributes.get("error.type") == "InputError"]
    assert {span.name for span in failed} == {"campaign", "node verify", "gate policy"}
    assert not any(KEY in span.to_json() for span in failed)


def test_each_call_of_a_model_is_a_span_by_the_conventions(spans: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTLOOM_CHAT_API_KEY", KEY)
    monkeypatch.setattr("agents.designers.choose.TemplateLibrary", ToyLibrary)
    busy = Answer({"error": {"message": f"you sent {KEY}"}}, 429, {"retry-after-ms": "1"})
    with serving(busy, order("array"), swap("array", "plain", "quick")) as server:
        result = api.start_campaign(
            SPEC, designer="llm", model=f"chat:m@{server.url}/v1", budget=Budget(rounds=2), evaluators=ToyEvaluator
        )
        port = int(server.url.rpartition(":")[2])
    assert result.accepted is not None
    calls = [span for span in spans.get_finished_spans() if span.name == "chat m"]
    assert [span.attributes["gen_ai.agent.name"] for span in calls] == ["planner", "planner", "rtl_writer"]
    failed, _, written = calls
    assert failed.attributes["error.type"] == "Transient"
    assert failed.status.is_ok is False
    assert failed.status.description is None
    assert failed.events == ()
    said = dict(written.attributes)
    version = said.pop("rtloom.prompt.version")
    assert version
    assert said.pop("gen_ai.request.max_tokens") > 0
    assert said == {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai_compatible", "gen_ai.request.model": "m",
        "gen_ai.response.model": "m-1", "gen_ai.response.finish_reasons": ("stop",), "gen_ai.output.type": "json",
        "gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 0, "gen_ai.usage.cache_creation.input_tokens": 0,
        "gen_ai.agent.name": "rtl_writer", "rtloom.round": 1, "rtloom.block": "array",
        "server.address": "127.0.0.1", "server.port": port,
    }  # fmt: skip
    everything = "".join(span.to_json() for span in spans.get_finished_spans())
    assert KEY not in everything
    assert "module" not in everything
    assert "the array is slow" not in everything


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """An OTLP/HTTP receiver on localhost: its address, and what it was sent."""
    got: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((self.path, gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_collector_receives_every_span(
    collector: tuple[str, list[tuple[str, bytes]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    url, got = collector
    monkeypatch.setenv(ENDPOINT, url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "looms")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    search()
    assert {path for path, _ in got} == {"/v1/traces"}
    sent: Counter[str] = Counter()
    for _, body in got:
        for resource in messages.ExportTraceServiceRequest.FromString(body).resource_spans:
            said = {item.key: item.value.string_value for item in resource.resource.attributes}
            assert said["service.name"] == "looms"
            sent.update(span.name for scope in resource.scope_spans for span in scope.spans)
    assert (sent["campaign"], sent["node plan"], sent["gate integrate"]) == (1, 1, 1)


def test_a_collector_that_is_away_is_told_once_and_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.sdk")
    monkeypatch.setenv(ENDPOINT, NOWHERE)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    events: list[Event] = []
    result = search(progress=events.append)
    assert result.status.state == "accepted"
    (told,) = [event.text for event in events if event.node == "traces"]
    assert told.startswith("traces are not delivered, the campaign goes on: ")


def test_missing_packages_and_other_protocols_are_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENDPOINT, NOWHERE)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "opentelemetry.sdk", None)
        assert cli.run(["run", "--name", "toy"]) == 2
    assert capsys.readouterr().err == (
        f"rtloom: {ENDPOINT}: traces need packages that are not installed; pip install 'rtloom[otel]', or unset it\n"
    )
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    assert cli.run(["run", "--name", "toy"]) == 2
    assert "'grpc' is not spoken; set it to http/protobuf" in capsys.readouterr().err
    assert names() == []
    assert not home().exists()


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [({}, False), ({ENDPOINT: NOWHERE}, True), ({ENDPOINT: " "}, False),
     ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": NOWHERE}, True), ({ENDPOINT: NOWHERE, "OTEL_SDK_DISABLED": "true"}, False),
     ({ENDPOINT: NOWHERE, "OTEL_TRACES_EXPORTER": "none"}, False)],
)  # fmt: skip
def test_traces_are_wanted_where_the_standard_variables_say_so(
    variables: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert traces.configured() is wanted


def test_without_an_endpoint_no_exporter_is_imported() -> None:
    """In a process of its own, which has imported nothing yet. (LangGraph imports the SDK where it is installed.)"""
    code = """
import json, sys
from agents import api
from agents.records import Budget
from tests.agents.stand_in import SPEC, ToyEvaluator, toy_designer
api.start_campaign(SPEC, budget=Budget(rounds=1), evaluators=ToyEvaluator, designers=toy_designer)
print(json.dumps([name for name in sys.modules if name.startswith("opentelemetry.exporter")]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
