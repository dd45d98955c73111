"""An embedded server of its own, as a process, for the tests that need one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests

_ANSWERS_WITHIN = 30.0


class LocalServer:
    """`python -m local_server` on a free port and a folder; `env` is the environment for clients, with a home of their own."""

    def __init__(self, data: Path, *options: str, validated: bool = False) -> None:
        self.data = data
        self.violations = data.with_name(data.name + ".violations")
        if validated:
            options = (*options, "--middleware", "support.validation:middleware")
        self.conf = data / "clearml.conf"
        self._options = options
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.log = data.with_name(data.name + ".log")
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers; after a stop or a kill on the same port again."""
        command = [sys.executable, "-m", "local_server", "--data", str(self.data), "--port", str(self._port), *self._options]
        path = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        added = {"PYTHONPATH": os.pathsep.join(path), "VALIDATION_REPORT": str(self.violations)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | added)
        deadline = time.monotonic() + _ANSWERS_WITHIN
        while (facts := self._facts()).get("pid") != self._process.pid:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start:\n{self.log.read_text()}")
            time.sleep(0.02)
        self.url, self.files_url, self.login_url = facts["url"], facts["files_url"], facts["login_url"]
        self._port = int(self.url.rpartition(":")[2])

    def _facts(self) -> dict[str, Any]:
        try:
            facts: dict[str, Any] = json.loads((self.data / "server.json").read_text())
        except (OSError, ValueError):
            return {}
        return facts

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def keys(self) -> tuple[str, str]:
        """Access key and secret key."""
        keys = json.loads((self.data / "keys.json").read_text())
        return keys["access_key"], keys["secret_key"]

    @property
    def env(self) -> dict[str, str]:
        """What a client's process needs to reach this server and nothing else of this machine's ClearML."""
        home = self.data.with_name(self.data.name + ".home")
        home.mkdir(exist_ok=True)
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARML_", "TRAINS_"))}
        return mine | {"CLEARML_CONFIG_FILE": str(self.conf), "HOME": str(home)}

    def call(self, endpoint: str, **fields: Any) -> dict[str, Any]:
        """The `data` of an end point's answer. Raises requests.HTTPError when it is refused."""
        answer = self.ask(endpoint, **fields)
        if not answer.ok:
            raise requests.HTTPError(f"{endpoint}: {answer.text}", response=answer)
        data: dict[str, Any] = answer.json()["data"]
        return data

    def ask(self, endpoint: str, **fields: Any) -> requests.Response:
        """The answer of an end point, whatever it is."""
        return requests.post(f"{self.url}/v2.23/{endpoint}", json=fields, auth=self.keys, timeout=60)

    def report(self, *events: dict[str, Any]) -> dict[str, Any]:
        """Send events as the SDK does, one JSON value per line."""
        answer = requests.post(f"{self.url}/v2.23/events.add_batch", data="\n".join(map(json.dumps, events)), auth=self.keys, timeout=60)
        if not answer.ok:
            raise requests.HTTPError(answer.text, response=answer)
        data: dict[str, Any] = answer.json()["data"]
        return data

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        self.stop()
        self.start()

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None


def failed_start(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """The server's command line, for starts that fail."""
    command = [sys.executable, "-m", "local_server", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)


def one_line(finished: subprocess.CompletedProcess[str]) -> str:
    assert finished.returncode == 2, finished.stderr
    (line,) = finished.stderr.splitlines()
    return line
