"""curl asks the Handle HTTP API, the proxy and the tunnel for native messages."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest

PLAIN = "88.118.5/plain"
VECTORS = Path(__file__).parents[2] / "test-data" / "wire" / "handle-vectors.json"
NATIVE = "application/x-hdl-message"


def vector(name: str) -> bytes:
    """The octets of a vector."""
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    return next(bytes.fromhex(each["hex"]) for each in vectors if each["name"] == name)


def tunnel(curl, octets: bytes) -> tuple[int, int, int]:
    """Posts a native message; opcode, response code and request id of the reply."""
    headers = ["-H", f"Content-Type: {NATIVE}", "-H", f"Accept: {NATIVE}"]
    reply = curl("/", *headers, data=octets)
    assert reply.status == 200
    assert reply.headers["content-type"] == NATIVE
    assert int(reply.headers["content-length"]) == len(reply.body)
    number = lambda at: int.from_bytes(reply.body[at : at + 4], "big", signed=True)
    assert number(16) == len(reply.body) - 20, "the envelope tells the length of the message"
    return number(20), number(24), number(8)


# ----------- Handle HTTP API


def test_registered_records_come_back_as_they_were(curl, records):
    for handle in [PLAIN, "88.118.5/large", "88.118.5/references"]:
        reply = curl(f"/api/handles/{handle}")
        assert reply.status == 200
        assert reply.headers["content-type"].startswith("application/json")
        record = reply.json()
        assert record["responseCode"] == 1
        assert record["handle"] == handle
        for value in record["values"]:
            value.pop("timestamp", None)
            if value["ttl"] == 86400:
                del value["ttl"]
        assert record["values"] == records[handle]


def test_name_is_percent_decoded_once(curl):
    handle = "88.118.5/电池 №7/β?a=b#c%20"
    reply = curl("/api/handles/" + quote(handle, safe="/"))
    assert reply.status == 200
    assert reply.json()["handle"] == handle
    reply = curl("/api/handles/" + quote(handle, safe=""))
    assert reply.json()["handle"] == handle


def test_types_and_indexes_select_by_union(curl):
    record = curl(f"/api/handles/{PLAIN}?type=url&index=3&index=77").json()
    assert [value["index"] for value in record["values"]] == [1, 3]


def test_selection_without_match_is_no_error(curl):
    reply = curl(f"/api/handles/{PLAIN}?type=CHECKSUM")
    assert reply.status == 200
    assert reply.json() == {"responseCode": 200, "handle": PLAIN, "values": []}


def test_missing_handle_is_404(curl):
    reply = curl("/api/handles/88.118.5/none")
    assert reply.status == 404
    assert reply.json()["responseCode"] == 100
    assert reply.json()["handle"] == "88.118.5/none"


def test_foreign_prefix_is_400(curl):
    reply = curl("/api/handles/20.500.999/x")
    assert (reply.status, reply.json()["responseCode"]) == (400, 301)


def test_value_that_is_not_public_stays_here(curl):
    record = curl("/api/handles/88.118.5/restricted").json()
    assert [value["index"] for value in record["values"]] == [1, 100]
    assert b"owner@example.org" not in curl("/api/handles/88.118.5/restricted?index=2").body
    assert b"nobody reads" not in curl("/api/handles/88.118.5/secret").body


def test_json_can_be_indented_and_called_back(curl):
    assert b"\n  " in curl(f"/api/handles/{PLAIN}?pretty").body
    reply = curl(f"/api/handles/{PLAIN}?callback=show")
    assert reply.headers["content-type"].startswith("application/javascript")
    assert reply.body.startswith(b"show({") and reply.body.rstrip().endswith(b"});")


def test_site_names_its_interfaces(curl, node):
    reply = curl("/api/site")
    assert (reply.status, reply.json()["responseCode"]) == (200, 1)
    site = reply.json()["site"]
    assert site["primarySite"] is True
    ports = {each["port"] for each in site["servers"][0]["interfaces"]}
    assert ports == {int(port) for port in [node.udp, node.tcp, node.http, node.https]}


def test_prefixes_are_listed(curl):
    reply = curl("/api/prefixes")
    assert reply.status == 200
    assert "0.NA/88.118.5" in reply.json()["prefixes"]


def test_other_pages_may_read(curl):
    reply = curl(f"/api/handles/{PLAIN}", "-H", "Origin: https://example.org")
    assert reply.headers["access-control-allow-origin"] in ["*", "https://example.org"]
    asked = ["-X", "OPTIONS", "-H", "Origin: https://example.org"]
    reply = curl(f"/api/handles/{PLAIN}", *asked, "-H", "Access-Control-Request-Method: GET")
    assert reply.status in [200, 204]
    assert "GET" in reply.headers["access-control-allow-methods"]


def test_unknown_path_and_method_are_told(curl):
    reply = curl("/api/nonsense")
    assert (reply.status, reply.json()["responseCode"]) == (404, 4)
    assert curl(f"/api/handles/{PLAIN}", "-X", "BREW").status in [405, 501]


# ----------- Proxy


def test_browser_is_redirected(curl):
    reply = curl(f"/{PLAIN}")
    assert reply.status == 302
    assert reply.headers["location"] == "https://example.org/plain"
    assert curl(f"/hdl:{PLAIN}").headers["location"] == "https://example.org/plain"


def test_values_are_shown_on_request(curl):
    reply = curl(f"/{PLAIN}?noredirect")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/html")
    assert "量子 Straße" in reply.body.decode()


def test_text_to_append_reaches_the_target(curl):
    reply = curl(f"/{PLAIN}?urlappend=%3Fa%3Db")
    assert reply.headers["location"] == "https://example.org/plain?a=b"


@pytest.mark.parametrize(
    ("query", "target"),
    [
        ("", "weighted"),
        ("?locatt=role:mirror", "mirror"),
        ("?locatt=country:cn", "cn"),
        ("?type=URL", "plain-url"),
    ],
)
def test_location_is_chosen(curl, query, target):
    reply = curl(f"/88.118.5/places{query}")
    assert reply.status == 302
    assert reply.headers["location"] == f"https://example.org/{target}"


def test_proxy_knows_what_it_does_not_find(curl):
    reply = curl("/88.118.5/none")
    assert reply.status == 404
    assert reply.headers["content-type"].startswith("text/html")


def test_page_escapes_what_records_hold(curl):
    reply = curl("/88.118.5/" + quote("<script>alert(1)</script>"))
    assert reply.status == 404
    assert b"<script>alert" not in reply.body


# ----------- Native messages


def test_site_is_told_through_the_tunnel(curl):
    assert tunnel(curl, vector("req-get-site-info"))[:2] == (2, 1)


def test_request_for_a_foreign_prefix_keeps_its_number(curl):
    octets = vector("req-resolve-default")
    opcode, code, request_id = tunnel(curl, octets)
    assert (opcode, code) == (1, 301)
    assert request_id == int.from_bytes(octets[8:12], "big", signed=True)


def test_broken_message_is_a_protocol_error(curl):
    octets = vector("req-resolve-default")
    for broken in [octets[:30], octets[:-10], b"\0" * 44, octets[:19] + b"\xff" + octets[20:]]:
        assert tunnel(curl, broken)[1] == 4
