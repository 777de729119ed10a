"""What runs in the sandbox cannot reach out, and cannot go on for ever."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents import cli
from tests.verification.conftest import alive
from verification import sandbox
from verification.sandbox import Limits

QUICK = Limits(seconds=10)


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def gone(mark: str) -> bool:
    """Whether no process with `mark` is left; a killed one may take a moment to be collected."""
    deadline = time.monotonic() + 2
    while alive(mark):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_command_runs_in_the_scratch_folder(mechanism: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("text")
    done = sandbox.run(["sh", "-c", "cat in > out; echo said; exit 3"], tmp_path, limits=QUICK)
    assert (tmp_path / "out").read_text() == "text"
    assert (done.returncode, done.output.strip(), done.stopped) == (3, "said", "")
    assert not done.ok


def test_there_is_no_network(mechanism: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        text = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2); print('reached')"
        done = sandbox.run(python(text), tmp_path, limits=QUICK)
    assert "reached" not in done.output
    assert done.returncode != 0


def test_the_environment_is_cleared(mechanism: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVATE_KEY_OF_THE_HOST", "secret")
    done = sandbox.run(["env"], tmp_path, env={"GIVEN": "yes"}, limits=QUICK)
    assert "GIVEN=yes" in done.output
    assert "secret" not in done.output
    assert f"HOME={tmp_path}" in done.output


def test_nothing_is_written_or_read_outside(mechanism: str, tmp_path: Path) -> None:
    scratch, host = tmp_path / "scratch", tmp_path / "host"
    scratch.mkdir()
    host.mkdir()
    (host / "kept").write_text("private")
    script = f"cat {host}/kept; echo x > {host}/kept; echo x > {host}/new; rm -f {host}/kept; echo x > /usr/bin/new"
    done = sandbox.run(["sh", "-c", script], scratch, limits=QUICK)
    assert "private" not in done.output
    assert (host / "kept").read_text() == "private"
    assert [path.name for path in host.iterdir()] == ["kept"]
    assert not Path("/usr/bin/new").exists()


def test_readable_folders_can_be_read_only(mechanism: str, tmp_path: Path) -> None:
    scratch, given = tmp_path / "scratch", tmp_path / "given"
    scratch.mkdir()
    given.mkdir()
    (given / "text").write_text("shared")
    done = sandbox.run(["sh", "-c", f"cat {given}/text; echo x > {given}/new"], scratch, readable=[given], limits=QUICK)
    assert "shared" in done.output
    assert not (given / "new").exists()


def test_the_time_limit_kills_every_child(mechanism: str, tmp_path: Path) -> None:
    mark = f"9{os.getpid()}.125"
    script = f"sleep {mark} & setsid sleep {mark} & (sleep {mark} &) ; sleep {mark}"
    done = sandbox.run(["sh", "-c", script], tmp_path, limits=Limits(seconds=1))
    assert done.stopped == "time limit of 1 s"
    assert done.seconds < 5
    assert gone(mark)


def test_a_run_that_shares_the_processor_has_the_seconds_it_was_promised(mechanism: str, tmp_path: Path) -> None:
    sharing = """
import time
while time.process_time() < 0.4:
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    time.sleep(0.06)
print('done')
"""
    done = sandbox.run(python(sharing), tmp_path, limits=Limits(seconds=0.8))
    assert done.ok
    assert done.seconds > 0.8


def test_a_run_that_never_ends_is_stopped_however_little_it_does(mechanism: str, tmp_path: Path) -> None:
    lazy = "import time\nwhile True:\n    time.sleep(0.05)\n    sum(range(100_000))"
    done = sandbox.run(python(lazy), tmp_path, limits=Limits(seconds=0.5))
    assert done.stopped == "time limit of 0.5 s"


def test_children_left_behind_are_killed(mechanism: str, tmp_path: Path) -> None:
    mark = f"8{os.getpid()}.125"
    done = sandbox.run(["sh", "-c", f"setsid sleep {mark} > /dev/null 2>&1 & exit 0"], tmp_path, limits=QUICK)
    assert done.returncode == 0
    assert gone(mark)


STOPPED = """
import sys
from pathlib import Path
from verification import sandbox
sandbox._AWAY_S = 0.5
print("begun", flush=True)
done = sandbox.run(["sleep", sys.argv[1]], Path(sys.argv[2]), limits=sandbox.Limits(seconds=2))
print(done.stopped or "ended")
"""


@pytest.mark.parametrize("seconds", ["1", "3"])
def test_time_in_which_the_watch_itself_is_stopped_does_not_count(seconds: str, tmp_path: Path) -> None:
    """As by Ctrl-Z: a run that ended meanwhile, and one that goes on after."""
    words = [sys.executable, "-c", STOPPED, seconds, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.6)
        process.send_signal(signal.SIGSTOP)
        time.sleep(2)
        process.send_signal(signal.SIGCONT)
        assert process.stdout.read() == "ended\n"


def test_closing_the_output_does_not_escape_the_time_limit(mechanism: str, tmp_path: Path) -> None:
    done = sandbox.run(["sh", "-c", "exec > /dev/null 2>&1; sleep 30"], tmp_path, limits=Limits(seconds=1))
    assert done.stopped == "time limit of 1 s"


def test_memory_is_bounded(mechanism: str, tmp_path: Path) -> None:
    text = "x = bytearray(600 << 20); print('had it')"
    done = sandbox.run(python(text), tmp_path, limits=Limits(seconds=20, memory_bytes=200 << 20))
    assert not done.ok
    assert "had it" not in done.output


def test_memory_is_bounded_over_all_processes(mechanism: str, tmp_path: Path) -> None:
    one = "b = bytearray(120 << 20); import time; time.sleep(20)"
    start = f"[subprocess.Popen([sys.executable, '-c', {one!r}]) for _ in '1234']"
    text = f"import subprocess, sys; [p.wait() for p in {start}]"
    done = sandbox.run(python(text), tmp_path, limits=Limits(seconds=20, memory_bytes=300 << 20))
    assert done.stopped == "memory limit of 300 MiB"


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "looked for"])
def test_grandchildren_count_whether_or_not_the_kernel_lists_children(
    listed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_lists_children", lambda: listed)
    script = "(for i in $(seq 60); do sleep 20 & done; wait) & wait"
    done = sandbox.run(["sh", "-c", script], tmp_path, limits=Limits(seconds=15, processes=30))
    assert done.stopped == "limit of 30 processes"


def test_processes_are_bounded(mechanism: str, tmp_path: Path) -> None:
    script = "for i in $(seq 60); do sleep 20 & done; wait"
    done = sandbox.run(["sh", "-c", script], tmp_path, limits=Limits(seconds=15, processes=30))
    assert done.stopped == "limit of 30 processes"


def test_output_and_files_are_bounded(mechanism: str, tmp_path: Path) -> None:
    limits = Limits(seconds=1, output_bytes=5000, file_bytes=1 << 20)
    done = sandbox.run(["sh", "-c", "head -c 9000000 /dev/zero > big; yes"], tmp_path, limits=limits)
    assert len(done.output) == 5000
    assert (tmp_path / "big").stat().st_size <= 1 << 20


def test_a_missing_command_is_a_status_not_an_exception(mechanism: str, tmp_path: Path) -> None:
    done = sandbox.run(["no-such-command"], tmp_path, limits=QUICK)
    assert done.returncode != 0
    assert "no-such-command" in done.output


def test_without_any_protection_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.protection.cache_clear()
    monkeypatch.setattr(sandbox, "_works", lambda words: False)
    with pytest.raises(sandbox.InputError, match="no sandbox works here"):
        sandbox.run(["touch", "ran"], tmp_path, limits=QUICK)
    assert not (tmp_path / "ran").exists()
    sandbox.protection.cache_clear()


def test_no_process_in_reach_holds_the_environment(
    mechanism: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRIVATE_KEY_OF_THE_HOST", "secret")
    done = sandbox.run(["sh", "-c", "cat /proc/*/environ; echo end"], tmp_path, limits=QUICK)
    assert "end" in done.output
    assert "secret" not in done.output


def test_settings_of_the_kernel_cannot_be_written(mechanism: str, tmp_path: Path) -> None:
    setting = Path("/proc/sys/kernel/hostname")
    before = setting.read_text()
    done = sandbox.run(["sh", "-c", f"echo owned > {setting} && echo wrote"], tmp_path, limits=QUICK)
    assert "wrote" not in done.output
    assert setting.read_text() == before


def test_other_processes_get_no_signals(mechanism: str, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        sandbox.run(["sh", "-c", f"kill -9 {other.pid}"], tmp_path, limits=QUICK)
        time.sleep(0.1)
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("kind", ["AF_INET, socket.SOCK_DGRAM", "AF_UNIX, socket.SOCK_STREAM"])
def test_no_other_socket_reaches_out(kind: str, mechanism: str, tmp_path: Path) -> None:
    scratch, host = tmp_path / "scratch", tmp_path / "host.socket"
    scratch.mkdir()
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
    ):
        server.bind(str(host))
        server.listen()
        datagrams.bind(("127.0.0.1", 0))
        datagrams.settimeout(0.3)
        address = repr(str(host)) if "UNIX" in kind else repr(datagrams.getsockname())
        text = f"import socket; s = socket.socket(socket.{kind}); s.connect({address}); s.send(b'x'); print('sent')"
        done = sandbox.run(python(text), scratch, limits=QUICK)
        assert "sent" not in done.output or "UNIX" not in kind
        with pytest.raises(TimeoutError):
            datagrams.recv(10)


def test_files_are_bounded_together(mechanism: str, tmp_path: Path) -> None:
    script = "i=0; while true; do i=$((i+1)); head -c 1000000 /dev/zero > f$i; done"
    done = sandbox.run(["sh", "-c", script], tmp_path, limits=Limits(seconds=20, scratch_bytes=50 << 20))
    assert done.stopped == "limit of 50 MiB of files"
    script = "i=0; while true; do i=$((i+1)); : > g$i; done"
    done = sandbox.run(["sh", "-c", script], tmp_path, limits=Limits(seconds=20, files=500))
    assert "limit of 500 files" in done.stopped


def test_nothing_can_be_written_to_memory_files(tmp_path: Path) -> None:
    script = "for f in /dev/shm/x /tmp/x /x /run/x /var/x; do echo x > $f && echo wrote; done"
    assert "wrote" not in sandbox.run(["sh", "-c", script], tmp_path, limits=QUICK).output


def test_a_flood_of_output_is_stopped(mechanism: str, tmp_path: Path) -> None:
    done = sandbox.run(["yes"], tmp_path, limits=Limits(seconds=60, output_bytes=10_000))
    assert done.stopped == "output limit of 500000 bytes"
    assert len(done.output) == 10_000


def test_only_files_and_folders_are_left(mechanism: str, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    secret = tmp_path / "secret"
    secret.write_text("private")
    script = f"mkdir d; ln -s {secret} d/link; ln -s {secret} link; mkfifo pipe; echo x > plain"
    sandbox.run(["sh", "-c", script], tmp_path / "scratch", limits=QUICK)
    assert sorted(path.name for path in (tmp_path / "scratch").rglob("*")) == ["d", "plain"]
    assert sandbox.result_text(tmp_path / "scratch" / "plain") == "x\n"
    assert sandbox.result_text(tmp_path / "scratch" / "d") is None
    assert sandbox.result_text(tmp_path / "scratch" / "plain", most=1) is None


def test_the_peak_of_memory_is_seen(mechanism: str, tmp_path: Path) -> None:
    text = "x = bytearray(100 << 20); import time; time.sleep(1)"
    done = sandbox.run(python(text), tmp_path, limits=QUICK)
    assert done.peak_bytes > 100 << 20


def test_the_doctor_says_which_protection_is_in_force(mechanism: str, capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)["sandbox"]
    assert found["name"] == mechanism
    assert found["covers"]
    assert bool(found["gaps"]) == (mechanism == "landlock")


def test_the_doctor_says_that_there_is_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.protection.cache_clear()
    monkeypatch.setattr(sandbox, "_works", lambda words: False)
    assert cli.run(["doctor"]) == 2
    assert "Sandbox: none." in " ".join(capsys.readouterr().out.split())
    sandbox.protection.cache_clear()
