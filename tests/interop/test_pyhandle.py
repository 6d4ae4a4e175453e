"""pyhandle, the Python library of the ePIC and B2HANDLE services, reads from the node."""

import pytest
from pyhandle.handleclient import PyHandleClient
from pyhandle.handleexceptions import GenericHandleError, HandleNotFoundException

PLAIN = "88.118.5/plain"


@pytest.fixture(params=["http", "https"])
def client(request, node):
    """A reading client, once for each scheme. The certificate of the node signs itself."""
    return PyHandleClient("rest").instantiate_for_read_access(
        handle_server_url=node.bases[request.param], HTTPS_verify=False
    )


def test_record_comes_as_json(client):
    record = client.retrieve_handle_record_json(PLAIN)
    assert record["responseCode"] == 1
    assert record["handle"] == PLAIN
    assert [value["index"] for value in record["values"]] == [1, 2, 3, 100]


def test_record_comes_as_dictionary(client):
    record = client.retrieve_handle_record(PLAIN)
    assert record["URL"] == "https://example.org/plain"
    assert record["DESC"] == "量子 Straße"
    assert record["BINARY"] == "AAH/gA=="
    assert "0.NA/88.118.5" in record["HS_ADMIN"]


def test_one_value_is_found_by_its_type(client):
    assert client.get_value_from_handle(PLAIN, "URL") == "https://example.org/plain"
    assert client.get_value_from_handle(PLAIN, "CHECKSUM") is None


def test_indexes_and_types_select(client):
    record = client.retrieve_handle_record_json(PLAIN, indices=[1, 3])
    assert [value["index"] for value in record["values"]] == [1, 3]
    record = client.retrieve_handle_record_json(PLAIN, type="DESC")
    assert [value["index"] for value in record["values"]] == [2]


def test_missing_handle_is_none_or_an_exception(client):
    assert client.retrieve_handle_record_json("88.118.5/none") is None
    assert client.retrieve_handle_record("88.118.5/none") is None
    with pytest.raises(HandleNotFoundException):
        client.get_value_from_handle("88.118.5/none", "URL")


def test_record_without_public_values_is_empty(client):
    record = client.retrieve_handle_record_json("88.118.5/hidden")
    assert record["responseCode"] == 200
    assert record["values"] == []


def test_foreign_prefix_is_refused(client):
    with pytest.raises(GenericHandleError, match="301"):
        client.retrieve_handle_record_json("20.500.999/x")


def test_indices_of_a_key_are_found(client):
    entries = client.retrieve_handle_record_json(PLAIN)["values"]
    assert client.get_handlerecord_indices_for_key("HS_ADMIN", entries) == [100]


def test_verified_certificate_would_be_refused(node):
    client = PyHandleClient("rest").instantiate_for_read_access(
        handle_server_url=node.bases["https"], HTTPS_verify=True
    )
    with pytest.raises(Exception, match="(?i)certificate"):
        client.retrieve_handle_record_json(PLAIN)
