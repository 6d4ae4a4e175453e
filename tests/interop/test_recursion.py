"""A recursive node gives everybody's records: it knows nothing but the root of the tree."""

import json
import subprocess

import pytest
from pyhandle.handleclient import PyHandleClient

PLAIN = "88.118.5/plain"
HANDLES = [PLAIN, "88.118.5/large", "88.118.5/references", "88.118.5/restricted"]
HANDLES += ["88.118.5/电池 №7/β?a=b#c%20", "0.NA/88.118.5", "0.NA/88.118"]


def ask(node, handle: str, *options: str) -> subprocess.CompletedProcess:
    """Resolves by the program."""
    return node.run("resolve", handle, "--json", *options)


@pytest.mark.parametrize("handle", HANDLES)
def test_every_transport_gives_what_the_tree_holds(node, recursive, root, handle):
    done = ask(node, handle, "--root", f"127.0.0.1:{root.udp}")
    assert done.returncode == 0, done.stderr.decode()
    expected = json.loads(done.stdout)
    for at in [
        f"udp://127.0.0.1:{recursive.udp}",
        f"tcp://127.0.0.1:{recursive.tcp}",
        f"http://127.0.0.1:{recursive.http}",
        f"https://127.0.0.1:{recursive.https}",
    ]:
        done = ask(node, handle, "--at", at)
        assert done.returncode == 0, done.stderr.decode()
        assert json.loads(done.stdout) == expected, at


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_pyhandle_reads_through_it(recursive, records, scheme):
    client = PyHandleClient("rest").instantiate_for_read_access(
        handle_server_url=recursive.bases[scheme], HTTPS_verify=False
    )
    record = client.retrieve_handle_record_json(PLAIN)
    assert record["responseCode"] == 1
    assert len(record["values"]) == len(records[PLAIN])
    assert client.get_value_from_handle(PLAIN, "URL") == "https://example.org/plain"
    assert client.retrieve_handle_record_json("88.118.5/none") is None


def test_curl_is_told_where_the_answer_comes_from(recursive):
    url = f"{recursive.bases['http']}/api/handles/88.118.5/large"
    curl = ["curl", "--silent", "--show-error", "--include", "--max-time", "20"]
    status = ""
    for _ in range(2):
        done = subprocess.run([*curl, url], capture_output=True, check=True)
        head = done.stdout.partition(b"\r\n\r\n")[0].decode("latin-1").lower()
        status = head.partition("cache-status: ")[2].splitlines()[0]
    assert status.startswith("guantong; hit; ttl=")


def test_browser_is_sent_on(recursive):
    url = f"{recursive.bases['http']}/{PLAIN}"
    write = ["--write-out", "%{http_code} %{redirect_url}", "--output", "/dev/null"]
    curl = ["curl", "--silent", "--show-error", "--max-time", "20", *write, url]
    done = subprocess.run(curl, capture_output=True, check=True)
    assert done.stdout == b"302 https://example.org/plain"


def test_way_through_the_tree_is_told(node, root):
    done = ask(node, PLAIN, "--root", f"127.0.0.1:{root.udp}", "--trace")
    told = done.stderr.decode()
    for hop in ["because: root", "code 303", "because: prefix record 0.NA/88.118.5"]:
        assert hop in told, told
