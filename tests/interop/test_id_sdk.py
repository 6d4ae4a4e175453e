"""The requests of id-sdk, the public SDK of existing enterprise nodes, one by one.

Its Java client (Feign over the JDK's HTTP) is not on Maven Central, so what it sends is sent here:
slashes in queries as %2F, bodies with explicit nulls, lists as repeated parameters, and POST where
it declares a GET with a body, since the JDK makes one of the other.
"""

import base64
import json
import struct
import subprocess
import uuid
from urllib.parse import quote

import pytest
import requests

PREFIX = "88.118.5"
APP = f"{PREFIX}/App_sdk"
HEADERS = {"Accept": "*/*", "Content-Type": "application/json", "User-Agent": "Java/17.0.2"}
CREATE, UPDATE, MERGE, DELETE, RETRIEVE, HELLO = [
    f"0.DOIP{family}/Op.{name}"
    for family, name in [
        ("", "Create"),
        ("", "Update"),
        (".EXTEND", "Update.Non.Overlay"),
        ("", "Delete"),
        ("", "Retrieve"),
        ("", "Hello"),
    ]
]
NO_BASICS = {"metaClassifyId": None, "metaHandle": None, "metaState": None, "isQuote": 0}
NO_INPUT = {
    name: None
    for name in [
        "requestId", "clientId", "targetId", "operationId", "appHandle", "type", "attributes"
    ]
}


def public_key_data(pem) -> bytes:
    """The data of an HS_PUBKEY value of an RSA key."""
    told = subprocess.run(
        ["openssl", "rsa", "-in", pem, "-noout", "-modulus"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout
    modulus = bytes.fromhex(told.strip().split("=")[1])
    parts = [struct.pack(">I", len(part)) + part for part in (b"\x01\x00\x01", b"\x00" + modulus)]
    name = b"RSA_PUB_KEY"
    return struct.pack(">I", len(name)) + name + b"\x00\x00" + b"".join(parts)


class Sdk:
    """What the SDK does, by hand."""

    def __init__(self, base: str, pem: str):
        # A base that ends in a slash is as good.
        self.base, self.pem, self.token = base, pem, None

    def send(self, method: str, path: str, query=(), body=None):
        """Sends one request as Feign does; the envelope of the answer."""
        said = [(name, str(value)) for name, value in query if value is not None]
        pairs = [f"{name}={quote(value, safe='')}" for name, value in said]
        url = f"{self.base}/api/v1/{path}" + ("?" + "&".join(pairs) if pairs else "")
        headers = dict(HEADERS)
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        reply = requests.request(method, url, data=data, headers=headers, timeout=20)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def data(self, *arguments, **more):
        """The same, which must work."""
        answer = self.send(*arguments, **more)
        assert answer["code"] == 1, answer
        return answer.get("data")

    def log_in(self):
        """The challenge, signed."""
        nonce = self.data("GET", "doip/public/challenge", [("handle", APP)])
        signed = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.pem],
            input=nonce.encode(), capture_output=True, timeout=60, check=True,
        ).stdout
        body = {"signature": base64.b64encode(signed).decode(), "handle": APP}
        self.token = self.data("POST", "doip/public/verify-response", body=body)["token"]

    def operate(self, operation: str, target: str, body=None):
        """An operation on an identifier."""
        method = "GET" if operation in (RETRIEVE, HELLO) else "POST"
        query = [("targetId", target), ("operationId", operation)]
        return self.send(method, "doip", query, body)


@pytest.fixture(scope="module")
def sdk(node, tmp_path_factory) -> Sdk:
    """The SDK, logged in as an application that may register under the prefix."""
    folder = tmp_path_factory.mktemp("sdk")
    pem = str(folder / "app.pem")
    made = node.run("key", "new", "--out", pem)
    assert made.returncode == 0, made.stderr
    key = {"format": "base64", "value": base64.b64encode(public_key_data(pem)).decode()}
    admin = {"handle": APP, "index": 300, "permissions": "1" * 12}
    for handle, verb, value in [
        (APP, "put", {"index": 300, "type": "HS_PUBKEY", "data": key}),
        (f"0.NA/{PREFIX}", "add", {"index": 301, "type": "HS_ADMIN",
                                   "data": {"format": "admin", "value": admin}}),
    ]:
        file = folder / "values.json"
        file.write_text(json.dumps([value]))
        done = node.run("record", verb, handle, "--file", str(file), "--config", node.config)
        assert done.returncode == 0, done.stderr
    sdk = Sdk(node.bases["http"], pem)
    sdk.log_in()
    return sdk


def item(name: str, kind: int, **schema):
    """An item as the SDK serialises it."""
    empty = ["minLength", "maxLength", "charRange", "accuracy", "numberRange", "dateFormat",
             "maxFileCount", "fileRange", "fileType", "selfDefFileSuffix", "referenceType"]
    return {
        "itemIndex": None, "itemCode": f"c-{name}",
        "englishName": name, "chineseName": f"名{name}",
        "itemState": None, "definition": None, "inputNecessary": 1, "listItemNecessary": 1,
        "required": 0, "uniqueField": 0, "acl": None, "comment": None,
        "itemSchemaCreateDTO": {**dict.fromkeys(empty), "dataType": kind, **schema},
        "itemReferenceDTO": {"referenceMetaHandle": None},
    }


@pytest.fixture(scope="module")
def template(sdk) -> str:
    """A published template."""
    body = {
        **NO_BASICS, "classifyCode": "unclassified", "metaName": "电池",
        "metaCode": uuid.uuid4().hex,
        "industryCategory": "C", "industrySpecific": "38", "industryTrade": "384",
        "industrySubclass": "3841", "standard": "", "metaDesc": "", "referenceMetaHandle": None,
        "metaItemCreateDTOS": [
            item("en1", 1, minLength=1, maxLength=50),
            item("en2", 2),
            item("en3", 3, dateFormat="YYYY-MM-DD"),
        ],
    }
    handle = sdk.data("POST", "open/meta/create", body=body)["metaHandle"]
    turn = {"metaHandleList": [handle], "opType": "publish"}
    assert sdk.data("PUT", "open/meta/publish-or-withdraw", body=turn)[0]["state"] == "success"
    return handle


def said(template: str, **content):
    """The body of a registration."""
    return {**NO_INPUT, "type": template, "attributes": {"content": content}}


def test_identifier_lives_from_create_to_delete(sdk, template):
    """Every operation of the instance API."""
    thing = f"{template}CASE001"
    body = said(template, en1="abc", en2=7, en3="2024-07-01")
    assert sdk.operate(CREATE, thing, body)["code"] == 1
    assert sdk.operate(CREATE, thing, body)["code"] == 105
    data = sdk.operate(RETRIEVE, thing)["data"]
    assert data["attributes"]["elements"][1]["data"] == 7
    assert [value["value"] for value in data["values"]] == ["abc", "7", "2024-07-01"]
    assert sdk.operate(MERGE, thing, said(template, en2="8.5"))["code"] == 1
    assert sdk.operate(UPDATE, thing, said(template, en1="only"))["code"] == 1
    data = sdk.operate(RETRIEVE, thing)["data"]
    assert [value["value"] for value in data["values"]] == ["only"]
    page = sdk.data("GET", "open/handle/page",
                    [("metaHandle", template), ("handleName", None), ("page", 0), ("size", 10)])
    assert page["content"][0]["handleName"] == thing
    assert sdk.operate(DELETE, thing, NO_INPUT) == {"code": 1, "message": "success"}
    assert sdk.operate(DELETE, thing, NO_INPUT)["code"] == 104


def test_templates_are_read_changed_copied_and_deleted(sdk, template):
    """Every call of the template API."""
    assert sdk.operate(RETRIEVE, template)["data"]["type"] == "0.TYPE/DO.DOIPMETA"
    info = sdk.data("GET", "open/meta/info", [("metaHandle", template)])
    assert info["itemVOS"][0]["englishName"] == "en1"
    copy = sdk.data("POST", "open/meta/baseon-create", body={
        "baseonHandle": template,
        "baseInfo": {"metaHandle": None, "metaCode": "copy", "classifyCode": "unclassified"},
    })["metaHandle"]
    basics = {"metaHandle": copy, "metaName": "新", "metaCode": "x",
              "classifyCode": "unclassified",
              "industryCategory": "A", "industrySpecific": "01", "industryTrade": "011",
              "industrySubclass": "0111", "standard": "s", "metaDesc": "d"}
    sdk.data("PUT", "open/meta/update-basic-info", body=basics)
    items = {"metaHandle": copy, "metaItemDTOS": [item("en9", 1)]}
    assert sdk.send("PUT", "open/meta/update-item", body=items)["code"] != 1
    tree = sdk.data("GET", "open/meta/classify-query")
    assert tree[0]["classifyCode"] == "unclassified"
    page = sdk.data("GET", "open/meta/page",
                    [("metaState", 0), ("classifyCode", "unclassified"), ("page", 0), ("size", 10)])
    assert copy in [entry["metaHandle"] for entry in page["content"]]
    sdk.data("DELETE", "open/meta/delete", [("metaHandleList", copy)])
    both = [("metaHandleList", template), ("metaHandleList", copy)]
    assert sdk.send("DELETE", "open/meta/delete", both)["code"] == 606


def test_grants_are_given_and_users_listed(sdk, template):
    """The rest of the SDK."""
    users = sdk.data("GET", "open/handle-user-group/list")
    assert APP in [user["userHandle"] for user in users]
    share = {"handleUsers": [APP], "metaHandle": template, "scope": 2, "removeHandleUsers": []}
    sdk.data("POST", "open/meta/grant-info", body=share)
    thing = f"{template}CASE002"
    assert sdk.operate(CREATE, thing, said(template, en1="x"))["code"] == 1
    grant = {"handle": thing, "grantType": 2, "readerScope": 2, "handleUserReaders": [APP],
             "handleUserWriters": None, "delHandleUserReaders": None, "delHandleUserWriters": None}
    sdk.data("POST", "open/single-handle/authorization", body=grant)
    hello = sdk.operate(HELLO, f"{PREFIX}/DOIPServiceInfo")
    assert hello["code"] == 1


def test_stranger_is_told_so_in_an_envelope(node, sdk):
    """A token that is not good, and an application that there is not."""
    stranger = Sdk(node.bases["http"], sdk.pem)
    stranger.token = "x"
    assert stranger.operate(DELETE, f"{PREFIX}/x", NO_INPUT)["code"] == 101
    stranger.token = None
    body = {"signature": "AAAA", "handle": f"{PREFIX}/App_none"}
    assert stranger.send("POST", "doip/public/verify-response", body=body)["code"] == 401
    # Builds that swap the HTTP client send the GET that is declared.
    assert stranger.send("GET", "doip/public/verify-response", body=body)["code"] == 401
