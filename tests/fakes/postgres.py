"""A PostgreSQL server of the tests' own: real, in a scratch folder, on a socket only."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import psycopg.conninfo

from tests.parts import require

START_S = 60
_USER = "postgres"


class Postgres:
    """A server, and the schemas in it."""

    def __init__(self, folder: Path) -> None:
        # Debian keeps the programs of each version apart, in nobody's PATH.
        homes = sorted(
            map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True
        )
        self._initdb = require("initdb", *homes)
        self._pg_ctl = require("pg_ctl", *homes)
        self._data = folder / "data"
        self._socket = folder
        self._schemas = 0
        self._up = False

    def create(self) -> None:
        """Make the cluster and start it."""
        self._run(self._initdb, "-D", str(self._data), "-U", _USER, "-A", "trust", "-N")
        self.start()

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        # It loses its process, never its power: what it wrote need not be synced.
        options = f"-k {self._socket} -c listen_addresses= -c fsync=off"
        log = str(self._data / "log")
        self._run(
            *(self._pg_ctl, "-D", str(self._data), "-l", log, "-t", str(START_S)),
            *("-w", "-o", options, "start"),
        )
        self._up = True

    def crash(self) -> None:
        """Stop without a checkpoint: it recovers from its log at the next start."""
        if self._up:
            self._up = False
            stop = ("-D", str(self._data), "-w", "-m", "immediate", "stop")
            self._run(self._pg_ctl, *stop)

    def new_schema(self) -> str:
        """Make an empty schema; return how to reach it, as the only one that is seen."""
        self._schemas += 1
        name = f"test_{self._schemas}"
        with psycopg.connect(self._info(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return self._info(options=f"-c search_path={name}")

    def _info(self, **more: str) -> str:
        return psycopg.conninfo.make_conninfo(
            host=str(self._socket), user=_USER, dbname=_USER, **more
        )

    def _run(self, *command: str) -> None:
        user = _USER if os.geteuid() == 0 else None  # it refuses to run as root
        done = subprocess.run(
            command,
            user=user,
            cwd=self._socket,
            stdin=subprocess.DEVNULL,
            # A file and no pipe: the server keeps what it inherits open.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=START_S * 2,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}: {self._told()}"

    def _told(self) -> str:
        log = self._data / "log"
        return log.read_text()[-2_000:] if log.exists() else "it left no log"


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Yield a server; skip the test where PostgreSQL is not installed."""
    folder = Path(tempfile.mkdtemp(prefix="assent-pg-"))
    try:
        if os.geteuid() == 0 and _known(_USER):
            shutil.chown(folder, _USER)
        server = Postgres(folder)
        server.create()
        try:
            yield server
        finally:
            server.crash()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _known(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
