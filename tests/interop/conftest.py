"""What the HTTP tests share: where the node is, and curl.

The node is started by `with-node`, which tells its addresses in the environment.
"""

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CURL_TIMEOUT_S = "20"
PORTS = ["udp", "tcp", "http", "https"]


@dataclass
class Reply:
    """An HTTP reply as curl saw it."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)

    def json(self):
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Node:
    """The addresses of the running node, and the program itself."""

    binary: str
    config: str
    udp: str
    tcp: str
    http: str
    https: str

    @property
    def bases(self) -> dict[str, str]:
        """The two HTTP bases by scheme."""
        return {
            "http": f"http://127.0.0.1:{self.http}",
            "https": f"https://127.0.0.1:{self.https}",
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        """Runs the program itself."""
        return subprocess.run(
            [self.binary, *arguments], capture_output=True, timeout=60, check=False
        )


@pytest.fixture(scope="session")
def node() -> Node:
    """The node under test."""
    names = ["BINARY", "CONFIG", "UDP", "TCP", "HTTP", "HTTPS"]
    missing = [name for name in names if f"GUANTONG_{name}" not in os.environ]
    if missing:
        pytest.exit("no node: start these tests with tests/interop/run", returncode=2)
    return Node(*(os.environ[f"GUANTONG_{name}"] for name in names))


@pytest.fixture(scope="session")
def recursive(node) -> Node:
    """A node that holds nothing and resolves for this machine, beginning at the root."""
    ports = {name: os.environ[f"GUANTONG_RECURSIVE_{name.upper()}"] for name in PORTS}
    return Node(node.binary, node.config, **ports)


@pytest.fixture(scope="session")
def root(node) -> Node:
    """The root of the tree that the node hangs in."""
    ports = {name: os.environ[f"GUANTONG_ROOT_{name.upper()}"] for name in PORTS}
    return Node(node.binary, node.config, **ports)


@pytest.fixture(scope="session")
def records() -> dict[str, list]:
    """The registered records: values by handle."""
    lines = (HERE / "records.jsonl").read_text(encoding="utf-8").splitlines()
    return {record["handle"]: record["values"] for record in map(json.loads, lines)}


@pytest.fixture(params=["http", "https"])
def curl(request, node):
    """A function that asks the node by curl, once for each scheme."""

    def ask(path: str, *options: str, data: bytes | None = None) -> Reply:
        command = ["curl", "--silent", "--show-error", "--insecure", "--include", "--path-as-is"]
        command += ["--globoff", "--max-time", CURL_TIMEOUT_S, *options]
        if data is not None:
            command += ["--data-binary", "@-"]
        command.append(node.bases[request.param] + path)
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        headers = {name.lower(): value for name, _, value in pairs}
        return Reply(int(status_line.split()[1]), headers, body)

    return ask
