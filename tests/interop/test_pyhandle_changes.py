"""pyhandle creates, changes and deletes records over HTTPS, with a user name and a password."""

import json

import pytest
from pyhandle.handleclient import PyHandleClient
from pyhandle.handleexceptions import (
    HandleAlreadyExistsException,
    HandleAuthenticationError,
    HandleNotFoundException,
)

PREFIX_HANDLE = "0.NA/88.118.5"
USER_HANDLE = "88.118.5/pyhandle-user"
USER = f"300:{USER_HANDLE}"
PASSWORD = "correct horse"
LOCATION = "https://example.org/thing"


@pytest.fixture(scope="module")
def user(node, tmp_path_factory):
    """Somebody who may create records under the prefix, with a secret key."""
    secret = {"index": 300, "type": "HS_SECKEY", "data": PASSWORD, "permissions": "1100"}
    # pyhandle wants to see something of its user.
    public = {"index": 1, "type": "DESC", "data": "a user of pyhandle"}
    record = {"handle": USER_HANDLE, "values": [public, secret]}
    data = {"handle": USER_HANDLE, "index": 300, "permissions": "111111111111"}
    admin = {"index": 101, "type": "HS_ADMIN", "data": {"format": "admin", "value": data}}
    folder = tmp_path_factory.mktemp("pyhandle")
    for name, content, command in [
        ("user.json", record, ["record", "put"]),
        ("admin.json", [admin], ["record", "add", PREFIX_HANDLE]),
    ]:
        file = folder / name
        file.write_text(json.dumps(content), encoding="utf-8")
        done = node.run(*command, "--file", str(file), "--config", node.config)
        assert done.returncode == 0, done.stderr.decode()
    return USER


def client_of(node, password):
    """A writing client; the certificate of the node signs itself."""
    return PyHandleClient("rest").instantiate_with_username_and_password(
        node.bases["https"], USER, password, handleowner=USER, HTTPS_verify=False
    )


@pytest.fixture
def client(node, user):
    """A client with the right password."""
    return client_of(node, PASSWORD)


def test_record_lives_its_life(client):
    handle = "88.118.5/pyhandle-life"
    assert client.register_handle(handle, LOCATION, DESC="a thing") == handle
    assert client.get_value_from_handle(handle, "URL") == LOCATION
    with pytest.raises(HandleAlreadyExistsException):
        client.register_handle(handle, LOCATION)
    client.register_handle(handle, LOCATION + "/new", overwrite=True)
    assert client.get_value_from_handle(handle, "DESC") is None
    client.modify_handle_value(handle, URL=LOCATION + "/changed", CHECKSUM="abc")
    record = client.retrieve_handle_record(handle)
    assert (record["URL"], record["CHECKSUM"]) == (LOCATION + "/changed", "abc")
    client.delete_handle_value(handle, ["CHECKSUM"])
    assert client.get_value_from_handle(handle, "CHECKSUM") is None
    client.delete_handle(handle)
    assert client.retrieve_handle_record(handle) is None
    with pytest.raises(HandleNotFoundException):
        client.modify_handle_value(handle, URL="x")


def test_suffix_is_chosen_by_the_client(client):
    handle = client.generate_and_register_handle("88.118.5", LOCATION)
    assert client.get_value_from_handle(handle, "URL") == LOCATION
    client.delete_handle(handle)


def test_wrong_password_changes_nothing(node, user):
    with pytest.raises(HandleAuthenticationError):
        client_of(node, "wrong").register_handle("88.118.5/pyhandle-no", LOCATION)
