"""Every way to ask gives the same record: UDP, TCP, the HTTP tunnel and the JSON API.

JSON says besides whether something was withheld, for which the native protocol has no place.
"""

import json
from urllib.parse import quote

import pytest

HANDLES = ["88.118.5/plain", "88.118.5/large", "88.118.5/references", "88.118.5/restricted"]
HANDLES += ["88.118.5/places", "88.118.5/电池 №7/β?a=b#c%20", "0.NA/88.118.5"]


@pytest.mark.parametrize("handle", HANDLES)
def test_every_transport_gives_the_same_record(node, curl, handle):
    expected = curl("/api/handles/" + quote(handle, safe="/")).json()
    assert expected["responseCode"] == 1
    assert expected.pop("withheld", False) == handle.endswith("/restricted")
    for at in [
        f"udp://127.0.0.1:{node.udp}",
        f"tcp://127.0.0.1:{node.tcp}",
        f"http://127.0.0.1:{node.http}",
        f"https://127.0.0.1:{node.https}",
    ]:
        done = node.run("resolve", handle, "--at", at, "--json")
        assert done.returncode == 0, done.stderr.decode()
        assert json.loads(done.stdout) == expected, at


def test_missing_handle_is_the_same_everywhere(node, curl):
    assert curl("/api/handles/88.118.5/none").json()["responseCode"] == 100
    for at in [f"udp://127.0.0.1:{node.udp}", f"tcp://127.0.0.1:{node.tcp}"]:
        done = node.run("resolve", "88.118.5/none", "--at", at, "--json")
        assert done.returncode == 1
