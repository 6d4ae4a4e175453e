"""id-sdk, the public SDK of existing enterprise nodes, by hand.

Its Java client (Feign over the JDK's HTTP) is not on Maven Central, so what it sends is sent here:
slashes in queries as %2F, bodies with explicit nulls, lists as repeated parameters, and POST where
it declares a GET with a body, since the JDK makes one of the other.
"""

import base64
import json
import subprocess
from pathlib import Path
from urllib.parse import quote

import requests

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


class Sdk:
    """What the SDK does, by hand."""

    def __init__(self, base: str, app: str, pem: str):
        # A base that ends in a slash is as good.
        self.base, self.app, self.pem, self.token = base, app, pem, None

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
        nonce = self.data("GET", "doip/public/challenge", [("handle", self.app)])
        signed = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.pem],
            input=nonce.encode(), capture_output=True, timeout=60, check=True,
        ).stdout
        body = {"signature": base64.b64encode(signed).decode(), "handle": self.app}
        self.token = self.data("POST", "doip/public/verify-response", body=body)["token"]

    def operate(self, operation: str, target: str, body=None):
        """An operation on an identifier."""
        method = "GET" if operation in (RETRIEVE, HELLO) else "POST"
        query = [("targetId", target), ("operationId", operation)]
        return self.send(method, "doip", query, body)


def registrant(node, app: str, folder: Path, verb: str = "add") -> Sdk:
    """The SDK, logged in as a new application that may register under its prefix. The right is
    added to the record of the prefix, or with `put` is that record."""
    pem, values = str(folder / "app.pem"), folder / "values.json"
    prefix = app.partition("/")[0]
    admin = {"handle": app, "index": 300, "permissions": "1" * 12}
    values.write_text(json.dumps([
        {"index": 301, "type": "HS_ADMIN", "data": {"format": "admin", "value": admin}}
    ]))
    for command in [
        ["identity", "add-app", app, "--out", pem],
        ["record", verb, f"0.NA/{prefix}", "--file", str(values)],
    ]:
        done = node.run(*command, "--config", node.config)
        assert done.returncode == 0, done.stderr
    sdk = Sdk(node.bases["http"], app, pem)
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


def said(template: str, **content):
    """The body of a registration."""
    return {**NO_INPUT, "type": template, "attributes": {"content": content}}
