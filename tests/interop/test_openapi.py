"""Schemathesis asks what `openapi.json` describes, with right and with wrong values.

It reads the description from the node, makes requests of it, and finds answers that are not
described, that are not of their form, or that a server should not give. Bounded in examples and in
time, as everything here is.
"""

import json
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

PREFIX_HANDLE = "0.NA/88.118.5"
USER_HANDLE = "88.118.5/schemathesis-user"
PASSWORD = "correct horse"
TIME_MAX_S = 300
EXAMPLES = "12"
# Events have no end, and a logout is no request of the same user as before.
LEFT_OUT = "^/(changes|login.*)$"
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
]


@pytest.fixture(scope="module")
def credential(node, tmp_path_factory):
    """An administrator of the prefix, as a header says it."""
    secret = {"index": 300, "type": "HS_SECKEY", "data": PASSWORD, "permissions": "1100"}
    data = {"handle": USER_HANDLE, "index": 300, "permissions": "111111111111"}
    admin = {"index": 102, "type": "HS_ADMIN", "data": {"format": "admin", "value": data}}
    folder = tmp_path_factory.mktemp("schemathesis")
    for name, content, command in [
        ("user.json", {"handle": USER_HANDLE, "values": [secret]}, ["record", "put"]),
        ("admin.json", [admin], ["record", "add", PREFIX_HANDLE]),
    ]:
        file = folder / name
        file.write_text(json.dumps(content), encoding="utf-8")
        done = node.run(*command, "--file", str(file), "--config", node.config)
        assert done.returncode == 0, done.stderr.decode()
    user = f"300%3A{USER_HANDLE}:{PASSWORD}"
    return "Basic " + b64encode(user.encode()).decode()


def test_node_is_as_it_describes_itself(node, credential, tmp_path):
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        node.bases["https"] + "/api/v2/openapi.json",
        *["--url", node.bases["https"] + "/api/v2"],
        *["--header", f"Authorization: {credential}"],
        *["--checks", ",".join(CHECKS)],
        *["--phases", "examples,coverage,fuzzing"],
        *["--max-examples", EXAMPLES],
        *["--max-time", str(TIME_MAX_S // 2)],
        *["--exclude-path-regex", LEFT_OUT],
        *["--request-timeout", "20"],
        *["--tls-verify", "false"],
        *["--seed", "1"],
        "--no-color",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIME_MAX_S, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
