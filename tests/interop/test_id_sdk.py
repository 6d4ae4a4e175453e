"""The requests of id-sdk, the public SDK of existing enterprise nodes, one by one."""

import uuid

import pytest
from id_sdk import (
    CREATE, DELETE, HELLO, MERGE, NO_BASICS, NO_INPUT, RETRIEVE, UPDATE, Sdk, item, registrant, said
)

PREFIX = "88.118.5"
APP = f"{PREFIX}/App_sdk"


@pytest.fixture(scope="module")
def sdk(node, tmp_path_factory) -> Sdk:
    """The SDK, logged in as an application that may register under the prefix."""
    return registrant(node, APP, tmp_path_factory.mktemp("sdk"))


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
    stranger = Sdk(node.bases["http"], f"{PREFIX}/App_none", sdk.pem)
    stranger.token = "x"
    assert stranger.operate(DELETE, f"{PREFIX}/x", NO_INPUT)["code"] == 101
    stranger.token = None
    body = {"signature": "AAAA", "handle": stranger.app}
    assert stranger.send("POST", "doip/public/verify-response", body=body)["code"] == 401
    # Builds that swap the HTTP client send the GET that is declared.
    assert stranger.send("GET", "doip/public/verify-response", body=body)["code"] == 401
