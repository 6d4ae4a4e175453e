"""A public demonstration of existing enterprise nodes follows a bottle through fourteen stages.

What its server asks of a node is asked here, as it asks: it logs in again for each request, knows
the templates of the stages by their identifiers, and finds the next stage by looking for them in
the texts of the last. The stages are those of `guantong demo`, made over the API.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from id_sdk import CREATE, NO_BASICS, RETRIEVE, Sdk, item, registrant, said

STAGES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "test-data" / "trace" / "stages.jsonl")
    .read_text(encoding="utf-8").splitlines()
]
TEMPLATES = {stage["stage"]: f"{stage['prefix']}/META_{stage['code']}" for stage in STAGES}
THINGS = {stage["stage"]: TEMPLATES[stage["stage"]] + stage["own"] for stage in STAGES}
DISTILLERY, DISTRIBUTOR = "88.608.24061301", "88.608.5288"
READER = f"{DISTILLERY}/App_12306"
BOTTLE = 8
TEXT, REFERENCE = 1, 5
ONE, MANY = 1, 2


@dataclass
class Trade:
    """The applications."""

    # Of each enterprise, the one that registers. The distillery's is the one that traces.
    makers: dict[str, Sdk]
    stranger: Sdk


def hidden(stage) -> list[str]:
    """The names of the fields that are not for everybody."""
    return [field["name"] for field in stage["fields"] if not field["public"]]


def links(stage) -> dict[str, int]:
    """The stages beside it, by the names of the fields that refer to them."""
    own = stage["stage"]
    return {"source" if to > own else "onward": to for to in stage["links"]}


def make_template(sdk: Sdk, stage) -> None:
    """Makes and publishes the template of a stage, and says who reads its fields."""
    template = TEMPLATES[stage["stage"]]
    items = [item(field["name"], TEXT) for field in stage["fields"]]
    for made, field in zip(items, stage["fields"], strict=True):
        made["chineseName"] = field["label"]
    for name, to in links(stage).items():
        # Values of the one kind are texts, of the other kind lists.
        made = item(name, REFERENCE, referenceType=MANY if name == "source" else ONE)
        made["itemReferenceDTO"]["referenceMetaHandle"] = TEMPLATES[to]
        items.append(made)
    body = {
        **NO_BASICS, "metaHandle": template, "metaName": stage["title"], "metaCode": stage["code"],
        "classifyCode": "unclassified", "industryCategory": "C", "industrySpecific": "15",
        "industryTrade": "151", "industrySubclass": "1512", "standard": "", "metaDesc": "",
        "referenceMetaHandle": None, "metaItemCreateDTOS": items,
    }
    assert sdk.data("POST", "open/meta/create", body=body)["metaHandle"] == template
    turn = {"metaHandleList": [template], "opType": "publish"}
    assert sdk.data("PUT", "open/meta/publish-or-withdraw", body=turn)[0]["state"] == "success"
    shown = [made["englishName"] for made in items if made["englishName"] not in hidden(stage)]
    public = {"metaHandle": template, "items": shown, "scope": 1}
    sdk.data("POST", "open/classes-grant/item/batch-public", body=public)
    access = [{"item": name, "authType": 1, "scope": 2, "handleUsers": [READER],
               "removeHandleUsers": []} for name in hidden(stage)]
    if access:
        grant = {"metaHandle": template, "accessList": access}
        sdk.data("POST", "open/classes-grant/authorization", body=grant)


def register(sdk: Sdk, stage) -> None:
    """Registers a stage: the identifier of its template, and its own code."""
    template = TEMPLATES[stage["stage"]]
    values = {field["name"]: field["value"] for field in stage["fields"]}
    for name, to in links(stage).items():
        values[name] = [THINGS[to]] if name == "source" else THINGS[to]
    answer = sdk.operate(CREATE, THINGS[stage["stage"]], said(template, **values))
    assert answer["code"] == 1, answer


@pytest.fixture(scope="module")
def trade(node, tmp_path_factory) -> Trade:
    """Both enterprises at one node, and the chain."""
    makers = {}
    for prefix, app in [(DISTILLERY, READER), (DISTRIBUTOR, f"{DISTRIBUTOR}/App_sales")]:
        done = node.run("prefix", "home", prefix, "--config", node.config)
        assert done.returncode == 0, done.stderr
        makers[prefix] = registrant(node, app, tmp_path_factory.mktemp("app"), "put")
    pem = str(tmp_path_factory.mktemp("stranger") / "app.pem")
    app = f"{DISTRIBUTOR}/App_stranger"
    made = node.run("identity", "add-app", app, "--out", pem, "--config", node.config)
    assert made.returncode == 0, made.stderr
    for stage in STAGES:
        make_template(makers[stage["prefix"]], stage)
    for stage in STAGES:
        register(makers[stage["prefix"]], stage)
    return Trade(makers, Sdk(node.bases["http"], app, pem))


def retrieve(sdk: Sdk, handle: str):
    """One identifier, as whoever has just logged in reads it."""
    sdk.log_in()
    answer = sdk.operate(RETRIEVE, handle)
    assert answer["code"] == 1, answer
    return answer["data"]


def link_text(value) -> str:
    """A value as the walk looks at it: no list of one part, and never null."""
    assert isinstance(value["value"], str), value
    return value["value"].replace('["', "").replace('"]', "")


def walk(sdk: Sdk) -> dict:
    """What is found from the bottle on, by stage, in depth first."""
    left, found = dict(TEMPLATES), {}

    def visit(stage, handle):
        found[stage] = retrieve(sdk, handle)
        left.pop(stage, None)
        for value in found[stage]["values"]:
            text = link_text(value)
            following = next((number for number, name in left.items() if name in text), None)
            if following is not None:
                visit(following, text)

    visit(BOTTLE, THINGS[BOTTLE])
    return found


def shown(data) -> dict[str, str]:
    """What the demonstration puts on the screen: labels and texts, without links."""
    return {
        value["type"]: value["value"]
        for value in data["values"]
        if not any(template in link_text(value) for template in TEMPLATES.values())
    }


def test_application_walks_from_the_bottle_to_all_fourteen_stages(trade):
    """The walk, and what it shows of each stage."""
    found = walk(trade.makers[DISTILLERY])
    assert sorted(found) == list(range(1, 15))
    for stage in STAGES:
        data = found[stage["stage"]]
        assert data["handle"] == THINGS[stage["stage"]]
        assert shown(data) == {field["label"]: field["value"] for field in stage["fields"]}


def test_stage_is_told_in_every_form_that_clients_read(trade):
    """The envelope; the documented form, and the one that is not documented."""
    sdk = trade.makers[DISTILLERY]
    for stage in STAGES:
        template, thing = TEMPLATES[stage["stage"]], THINGS[stage["stage"]]
        sdk.log_in()
        answer = sdk.operate(RETRIEVE, thing)
        assert (answer["code"], type(answer["message"])) == (1, str)
        data = answer["data"]
        assert (data["id"], data["handle"], data["type"]) == (thing, thing, template)
        elements = data["attributes"]["elements"]
        fields = [field["name"] for field in stage["fields"]] + list(links(stage))
        assert [element["type"] for element in elements] == fields
        assert [element["index"] for element in elements] == list(range(2000, 2000 + len(fields)))
        assert [element["name"] for element in elements] == [v["type"] for v in data["values"]]
        kinds = [TEXT] * len(stage["fields"]) + [REFERENCE] * len(links(stage))
        assert [element["dataType"] for element in elements] == kinds
        times = data["attributes"]["attributes"]["metaData"]
        assert set(times) >= {"createTime", "updateTime", "creator", "updater"}


def test_stranger_walks_as_far_and_misses_what_is_not_public(trade):
    """An application without grants."""
    found = walk(trade.stranger)
    assert sorted(found) == list(range(1, 15))
    for stage in STAGES:
        public = {field["label"]: field["value"] for field in stage["fields"] if field["public"]}
        data = found[stage["stage"]]
        assert shown(data) == public
        read = {element["type"] for element in data["attributes"]["elements"]}
        assert not read & set(hidden(stage))
    assert sum(len(hidden(stage)) for stage in STAGES) >= 5


def test_link_that_is_not_shown_ends_the_walk_of_a_stranger_only(trade):
    """The link from the blending to the brewing is taken from the public."""
    sdk = trade.makers[DISTILLERY]
    scope = {"metaHandle": TEMPLATES[10], "items": ["source"]}
    path = "open/classes-grant/item/batch-public"
    sdk.log_in()
    sdk.data("POST", path, body={**scope, "scope": 2})
    try:
        # Whoever has registered it reads it as before.
        assert len(walk(sdk)) == 14
        assert sorted(walk(trade.stranger)) == list(range(1, 11))
    finally:
        sdk.log_in()
        sdk.data("POST", path, body={**scope, "scope": 1})
