"""`assent policy` and `assent up` in a process of their own."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from bus.cli.output import CHECK_FAILED, OK, WRONG_USAGE
from tests.command import RUN, assent, assert_one_line_of_error, environment

DATA = {
    "agents": {"planner": {"tenant": "acme", "roles": ["plan"]}},
    "roles": {"plan": {"publish": [{"subject": "tasks.>"}]}},
    "tenants": {"acme": {}},
}
ASKED = {
    "action": "publish",
    "principal": {"id": "planner", "tenant": "acme", "roles": ["plan"]},
    "message": {"subject": "tasks.new", "type": "event", "tenant": "acme"},
}


@pytest.fixture
def data(tmp_path: Path) -> str:
    """The name of a file with policy data."""
    (tmp_path / "data.json").write_text(json.dumps(DATA))
    return "data.json"


def test_policy_check_tells_what_decisions_depend_on(tmp_path: Path, data: str) -> None:
    """The revision, and that they may be cached; in words as well."""
    ended = assent(tmp_path, "policy", "check", "--data", data, "--json")
    assert ended.code == OK
    assert ended.document["ok"] is True
    assert ended.document["cacheable"] is True
    assert "principal.id" in ended.document["report"]["input"]
    shown = assent(tmp_path, "policy", "check", "--set", f"policy.data={data}")
    assert ended.document["report"]["revision"] in shown.out


def test_policy_check_refuses_what_the_bus_would_refuse(
    tmp_path: Path, data: str
) -> None:
    """With file and line on stderr, in the document too, and code 1."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.rego").write_text("package a\n\nnot rego\n")
    ended = assent(
        tmp_path, "policy", "check", "--folder", "rules", "--data", data, "--json"
    )
    assert ended.code == CHECK_FAILED
    assert ended.document["ok"] is False
    assert_one_line_of_error(ended)
    assert "a.rego:3" in ended.err


def test_policy_test_runs_the_built_in_tests(tmp_path: Path) -> None:
    """All of them, and all pass."""
    ended = assent(tmp_path, "policy", "test", "--json")
    assert ended.code == OK
    assert ended.document["failed"] == 0
    assert ended.document["passed"] == len(ended.document["tests"]) > 0


def test_policy_test_names_the_test_that_fails(tmp_path: Path) -> None:
    """With code 1; data comes from the command line."""
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "a_test.rego").write_text(
        "package a\n\ntest_data if data.agents.planner\n\ntest_wrong if 1 == 2\n"
    )
    (tmp_path / "d.json").write_text(json.dumps(DATA))
    ended = assent(tmp_path, "policy", "test", "r", "--data", "d.json", "--json")
    assert ended.code == CHECK_FAILED
    endings = {test["name"]: test["ending"] for test in ended.document["tests"]}
    assert endings["test_wrong"] == "failed"
    shown = assent(tmp_path, "policy", "test", "r", "--data", "d.json")
    assert "a_test.rego:5 test_wrong" in shown.out
    assert "1 failed" in shown.out


def test_policy_eval_answers_as_the_bus_would_ask(tmp_path: Path, data: str) -> None:
    """An input from a file or from stdin; undefined is no result and no failure."""
    (tmp_path / "in.json").write_text(json.dumps(ASKED))
    query = ("policy", "eval", "data.assent.authz.decision.allow", "--data", data)
    ended = assent(tmp_path, *query, "--input", "in.json", "--json")
    assert ended.document["results"][0]["expressions"][0]["value"] is True
    other = json.dumps({**ASKED, "action": "request"})
    ended = assent(tmp_path, *query, "--input", "-", stdin=other)
    assert (ended.code, ended.out) == (OK, "false\n")
    ended = assent(tmp_path, "policy", "eval", "data.nothing")
    assert (ended.code, ended.out) == (OK, "undefined\n")


def test_policy_eval_of_what_is_no_query_fails(tmp_path: Path) -> None:
    """One line, code 1, nothing on stdout."""
    ended = assent(tmp_path, "policy", "eval", "1 +", "--json")
    assert (ended.code, ended.out) == (CHECK_FAILED, "")
    assert_one_line_of_error(ended)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_serves_until_it_is_told_to_stop(
    tmp_path: Path, data: str, number: signal.Signals
) -> None:
    """Ready over HTTP, one document on stdout, a whole record behind it, code 0."""
    flags = [f"policy.data={data}", "http.port=0", "audit.file=audit.log"]
    arguments = ["up", "--json", *(part for flag in flags for part in ("--set", flag))]
    with subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = list(iter(process.stdout.readline, "}\n"))
            up = json.loads("".join(lines) + "}")
            for path, said in (("readyz", "ready"), ("metrics", up["revision"])):
                with urllib.request.urlopen(f"{up['url']}/{path}") as answer:  # noqa: S310 - http on loopback
                    assert said in answer.read().decode()
            process.send_signal(number)
            rest, error = process.communicate(timeout=10)
        finally:
            process.kill()
    assert (process.returncode, rest, error) == (OK, "", "")
    assert assent(tmp_path, "audit", "verify", "audit.log").code == OK


def test_up_on_a_port_that_is_taken_says_so(tmp_path: Path, data: str) -> None:
    """One line and code 2, and nothing left running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = assent(
            tmp_path, "up", "--set", f"policy.data={data}", "--set", f"http.port={port}"
        )
    assert (ended.code, ended.out) == (WRONG_USAGE, "")
    assert_one_line_of_error(ended)
    assert str(port) in ended.err
