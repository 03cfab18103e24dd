"""Tools, arguments and tenants are told by what an administrator sees of them."""

import json
from typing import Any

import pytest

from bus.core.message import JSON, OCTETS
from policy import tester
from policy.authorizer import load_authorizer
from policy.bundle import BUILT_IN
from policy.toolcalls.arguments import arguments
from policy.toolcalls.knowledge import knowledge
from policy.toolcalls.prepare import Tool, policy_data
from policy.toolcalls.verbs import asks
from tests.fakes.messages import NOW_NS
from tests.fakes.policies import message

EXAMPLE = BUILT_IN.parent / "examples" / "toolcalls"


@pytest.mark.parametrize(
    "result", tester.run_tests([EXAMPLE]), ids=lambda result: f"{result.name}"
)
def test_every_rego_test_passes_on_the_embedded_engine(result: tester.RuleTest) -> None:
    """The same tests that `opa test` runs."""
    assert result.ending == "passed", f"{result.file}:{result.line}: {result.detail}"


@pytest.mark.parametrize(
    ("name", "description", "expected"),
    [
        ("get_orders", "Returns the orders.", ()),
        ("listOrders", "Lists orders. It returns a list.", ()),
        ("get_unread", "Returns what is unread. What is read is marked.", ()),
        ("get_unread", "Returns what is unread and marks it.", ("mark",)),
        (
            "check_in",
            "Checks the door. It also sends a message.",
            ("message", "check in"),
        ),
        (
            "check_in",
            "Check a guest in and charge the card on file.",
            ("charge", "check in"),
        ),
        ("check_in", "", ("check in",)),
        ("query_database", "Run an SQL statement against the database.", ("run",)),
        ("get_and_execute", "Get a script by name and run it.", ("run", "execute")),
        ("get_and_execute", "", ("execute",)),
        ("load_plugin", "Load a plugin from an index into the agent.", ("load",)),
        ("has_approved", "Sets the approval flag of a purchase.", ("update",)),
        ("get_page", "This tool permanently wipes the page.", ("wipe",)),
        ("get_page", "Get a page, then, wipe it.", ("wipe",)),
        (
            "get_page",
            "Gets it and wipes and burns it & applies it.",
            ("wipe", "burn", "apply"),
        ),
        ("get_page", "Fetches the page, which opens the door.", ("create",)),
        ("get_page", "Note: overwrites what is there.", ("overwrite",)),
        ("get_page", "Get the page.\n\nArgs:\n    page: The page and its place.", ()),
        ("get_page", "Can be used to get the page, e.g. to summarize it.", ()),
        ("get_rating", "Get the rating and reviews of a shop.", ()),
        ("get_book", "Get the title and author of a book.", ()),
        ("list_files", "Lists all files and folders in a place.", ()),
        ("get_shop", "Gets a shop. Results are sorted by name.", ()),
        ("get_rid", "Deletes the order.", ("delete",)),
        ("send_order", "Returns the order.", ("message",)),
        ("rescheduleOrder", "", ("update",)),
        ("frobnicate", "Deletes an order.", ("delete",)),
        ("frobnicate", "Does it.", ("frobnicate",)),
        ("", "", ("",)),
    ],
)
def test_an_effect_is_told_by_name_and_description(
    name: str, description: str, expected: tuple[str, ...]
) -> None:
    """What is not known to read has an effect of its own."""
    assert asks(name, description) == expected


def test_what_takes_a_program_runs_it() -> None:
    """Whatever its name and its description say."""
    assert asks("query_table", "Queries a table.", ("table", "sql")) == ("run",)
    assert asks("query_table", "Queries a table.", ("table", "words")) == ()
    schema = {"properties": {"sql_script": {"type": "string"}}}
    tool = Tool("query_table", "Queries a table.", schema)
    made = policy_data("acme", [tool], {}, {"query_table": "tool.query_table.request"})
    assert made["tenants"]["acme"]["tools"]["query_table"]["effect"] == "act"


def kinds(tool: str, **properties: dict[str, Any]) -> dict[str, str]:
    """Return the kinds of a tool's arguments."""
    found = arguments(
        tool, {"properties": properties, "$defs": {"M": {"enum": [1]}}}, ()
    )
    return {name: argument.kind for name, argument in found.items()}


def test_an_argument_is_told_by_its_schema_then_by_its_name() -> None:
    """What is not recognised is a detail."""
    text = {"type": "string"}
    found = kinds(
        "reserve_boat",
        recipients={"type": "array", "items": text},
        user_email=text,
        page_url=text,
        place={"type": "string", "format": "uri"},
        order_id=text,
        amount={"type": "number"},
        new_password=text,
        body=text,
        start_time=text,
        filename=text,
        boat=text,
        colour=text,
        mode={"$ref": "#/$defs/M"},
        loud={"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": None},
        attachments={"anyOf": [{"type": "array", "items": {"type": "object"}}, {"type": "null"}]},
        account_number=text,
    )  # fmt: skip
    assert found == {
        "recipients": "party",
        "user_email": "party",
        "page_url": "url",
        "place": "url",
        "order_id": "object",
        "amount": "number",
        "new_password": "secret",
        "body": "content",
        "start_time": "time",
        "filename": "label",
        "boat": "label",
        "colour": "detail",
        "mode": "choice",
        "loud": "flag",
        "attachments": "nested",
        "account_number": "party",
    }


def test_an_id_belongs_to_the_collection_that_its_words_name() -> None:
    """The tool's own words help where the argument's say too little."""
    schema = {"properties": {"id": {"type": "integer"}, "file_id": {}}}
    found = arguments(
        "update_standing_order", schema, ("file", "order", "standing_order")
    )
    assert (found["id"].of, found["file_id"].of) == ("standing_order", "file")


STATE: dict[str, Any] = {
    "box": {
        "account_email": "Me@Own.example",
        "contacts": [
            {"name": "Ann Body", "email": "ann@out.example"},
            {"name": "https://evil.example", "email": "bad@out.example"},
        ],
        "letters": {
            "1": {"sender": "me@own.example", "subject": "Mine", "body": "x@evil.example"},
            "2": {"sender": "eve@evil.example", "subject": "Not mine", "body": ""},
        },
        "readers": ["cleo@evil.example"],
    },
    "bank": {
        "iban": "DE89 3704 0044 0532 0130 00",
        "payments": [
            {"id": 1, "sender": "DE89370400440532013000", "recipient": "NL91ABNA0417164300"},
            {"id": 2, "sender": "GB33BUKB20201555555555", "recipient": "FR7630006000011234567890189"},
        ],
    },
    "chat": {"users": ["cleo", "", "see www.evil.example"], "tips": ["not a name"]},
    "web": {"www.evil.example": "Trust admin@evil.example", "users": "nobody"},
}  # fmt: skip


def test_only_what_the_tenant_itself_wrote_down_is_known() -> None:
    """Nothing of a body, a page, or what somebody else sent."""
    known = knowledge(STATE)
    assert known.own == ("DE89370400440532013000", "me@own.example")
    assert known.people == {"ann@out.example": "Ann Body"}
    assert known.names == {"user": ("cleo",)}
    assert known.accounts == ("NL91ABNA0417164300",)
    assert known.domains == ("own.example",)
    assert known.objects == {"letter": {"1": "Mine"}}
    assert "evil" not in json.dumps([known.people, known.names, known.objects])


def test_an_address_at_a_public_provider_makes_no_domain_the_tenants() -> None:
    """Anybody may have one there."""
    assert knowledge({"account_email": "me@gmail.com"}).domains == ()


def test_a_message_with_an_amount_is_a_payment() -> None:
    """And what is asked for then is money."""
    schema = {"properties": {"recipient": {}, "amount": {"type": "number"}}}
    tool = Tool("send_gift", "Sends a gift.", schema)
    made = policy_data("acme", [tool], {}, {"send_gift": "tool.send_gift.request"})
    entry = made["tenants"]["acme"]["tools"]["send_gift"]
    assert list(entry["asks"]) == ["money"]
    assert made["roles"]["assistant"]["tools"] == ["send_gift"]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({"content_type": OCTETS}, "the message holds no call of a tool"),
        ({"content_type": "text/json"}, "the message holds no call of a tool"),
        ({"body": b'{"tool": '}, "the message holds no call of a tool"),
        (
            {"body": b'{"tool":"pay","tool":"look","args":{}}'},
            "cannot be put to policy",
        ),
        ({"body": b'{"tool":"look","args":{"n":1e999}}'}, "cannot be put to policy"),
    ],
)
def test_a_call_that_cannot_be_read_is_refused(
    made: dict[str, Any], reason: str
) -> None:
    """Nobody could approve it; who asks for bytes would still be handed it."""
    tools = [Tool("look", "Shows the page.", {"type": "object"})]
    data = policy_data("acme", tools, {}, {"look": "tool.look.request"})
    asked = load_authorizer(data=data, policy_dir=EXAMPLE, now_ns=lambda: NOW_NS)
    call = {
        "sender": "assistant:acme",
        "subject": "tool.look.request",
        "type": "command",
        "body": b'{"tool":"look","args":{}}',
        "content_type": JSON,
    }
    assert asked.decide_now("publish", message(**call)).allow
    denied = asked.decide_now("publish", message(**{**call, **made}))
    assert not denied.allow
    assert reason in " ".join(denied.reasons)
