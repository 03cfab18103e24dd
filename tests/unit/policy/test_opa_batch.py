"""Questions of one turn go together; nobody's end is another's."""

import asyncio

import pytest

from bus.core.policylimits import OPA_BATCH_BYTES_MAX, OPA_BATCH_QUESTIONS_MAX
from policy.evaluation import Answer, EvaluationError
from policy.opa.address import ServerAddress
from policy.opa.batch import Batcher, Ending
from policy.opa.server import OpaServer, connect
from tests.fakes.batching_opa import CONFLICT, UNDEFINED, BatchingOpa, batching_opa
from tests.fakes.hostile_server import CLOSE, HANG, hostile, reply

RULE = "data.a.b"
DEADLINE_S = 5.0
ANSWERS = b'{"responses":{"0":{"result":1},"1":{"result":1}}}'


class Sent:
    """Answers each input with itself, once it may."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.deadlines: list[float] = []
        self.may = asyncio.Event()
        self.begun = asyncio.Event()

    async def __call__(
        self, rule: str, inputs: list[bytes], deadline_s: float
    ) -> list[Ending]:
        """Note what is asked, wait, and answer."""
        assert rule.startswith("data.")
        self.batches.append(inputs)
        self.deadlines.append(deadline_s)
        self.begun.set()
        await self.may.wait()
        return [Answer(content.decode()) for content in inputs]


def started(
    group: asyncio.TaskGroup, batcher: Batcher, *contents: bytes
) -> list[asyncio.Task[Answer]]:
    """Ask for each content in a task of its own."""
    return [group.create_task(batcher.ask(RULE, content)) for content in contents]


async def test_questions_of_one_turn_go_together() -> None:
    """And each is given its own answer."""
    sent = Sent()
    sent.may.set()
    batcher = Batcher(sent, DEADLINE_S)
    async with asyncio.TaskGroup() as group:
        asked = started(group, batcher, b"1", b"2", b"3")
        other = group.create_task(batcher.ask("data.c", b"4"))
    assert [task.result() for task in asked] == [Answer("1"), Answer("2"), Answer("3")]
    assert other.result() == Answer("4")
    assert sent.batches == [[b"1", b"2", b"3"], [b"4"]]


async def test_what_comes_later_does_not_wait_for_what_was_sent() -> None:
    """A batch is closed once it is on its way."""
    sent = Sent()
    batcher = Batcher(sent, DEADLINE_S)
    async with asyncio.TaskGroup() as group:
        started(group, batcher, b"1")
        await sent.begun.wait()
        started(group, batcher, b"2")
        sent.begun.clear()
        await sent.begun.wait()
        sent.may.set()
    assert sent.batches == [[b"1"], [b"2"]]


async def test_a_batch_is_bounded_in_number_and_in_bytes() -> None:
    """What does not go in goes in the next."""
    sent = Sent()
    sent.may.set()
    batcher = Batcher(sent, DEADLINE_S)
    async with asyncio.TaskGroup() as group:
        started(group, batcher, *[b"1"] * (OPA_BATCH_QUESTIONS_MAX + 2))
    assert [len(batch) for batch in sent.batches] == [OPA_BATCH_QUESTIONS_MAX, 2]
    large = b"1" * (OPA_BATCH_BYTES_MAX // 2)
    sent.batches.clear()
    async with asyncio.TaskGroup() as group:
        started(group, batcher, large, large, large)
    assert [len(batch) for batch in sent.batches] == [2, 1]


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_whoever_sends_may_go_away(turns: int) -> None:
    """Before it sent and after: the others are answered all the same."""
    sent = Sent()
    batcher = Batcher(sent, DEADLINE_S)
    async with asyncio.TaskGroup() as group:
        asked = started(group, batcher, b"1", b"2", b"3")
        await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        asked[0].cancel()
        sent.may.set()
    assert asked[0].cancelled()
    assert [task.result() for task in asked[1:]] == [Answer("2"), Answer("3")]
    assert sent.batches[-1] == [b"2", b"3"]
    assert sent.deadlines[-1] < DEADLINE_S, "a deadline of its own once more"


async def test_two_who_send_may_go_away_in_one_turn() -> None:
    """The one who was asked to take over is cancelled before it does."""
    sent = Sent()
    batcher = Batcher(sent, DEADLINE_S)
    async with asyncio.TaskGroup() as group:
        asked = started(group, batcher, b"1", b"2", b"3")
        await sent.begun.wait()
        asked[0].cancel()
        await asyncio.sleep(0)
        asked[1].cancel()
        sent.may.set()
    assert [task.cancelled() for task in asked] == [True, True, False]
    assert asked[2].result() == Answer("3")


async def test_who_waits_may_go_away() -> None:
    """Nobody else notices, and its answer is nobody's."""
    sent = Sent()
    batcher = Batcher(sent, DEADLINE_S)
    async with asyncio.TaskGroup() as group:
        asked = started(group, batcher, b"1", b"2", b"3")
        await sent.begun.wait()
        asked[1].cancel()
        await asyncio.sleep(0)
        sent.may.set()
    assert [asked[0].result(), asked[2].result()] == [Answer("1"), Answer("3")]
    assert asked[1].cancelled()


async def test_all_may_go_away() -> None:
    """Then nothing is sent anew."""
    sent = Sent()
    batcher = Batcher(sent, DEADLINE_S)
    async with asyncio.TaskGroup() as group:
        asked = started(group, batcher, b"1", b"2")
        await sent.begun.wait()
        for task in reversed(asked):
            task.cancel()
    assert all(task.cancelled() for task in asked)
    assert len(sent.batches) == 1


async def test_a_batch_that_fails_fails_for_each_with_an_error_of_its_own() -> None:
    """Two who raise one exception would write into one traceback."""

    async def refuse(*_: object) -> list[Ending]:
        raise EvaluationError("no", kind="deadline")

    batcher = Batcher(refuse, DEADLINE_S)

    async def failure(content: bytes) -> EvaluationError:
        with pytest.raises(EvaluationError) as failed:
            await batcher.ask(RULE, content)
        return failed.value

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(failure(content)) for content in (b"1", b"2")]
    first, second = (task.result() for task in tasks)
    assert (first.kind, second.kind) == ("deadline", "deadline")
    assert first is not second


async def ended(server: OpaServer, n: int) -> Answer | str:
    """Return how a question ended."""
    try:
        return await server.evaluate("data.numbers.even", f'{{"n":{n}}}')
    except EvaluationError as error:
        return f"{error.kind}: {error}"


async def asked_together(peer: BatchingOpa, *numbers: int) -> list[Answer | str]:
    """Ask a server that takes batches, all in one turn."""
    server = await connect(ServerAddress(url=peer.url), now_ns=lambda: 0)
    assert server.batches
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ended(server, n)) for n in numbers]
    finally:
        await server.close()
    return [task.result() for task in tasks]


async def test_a_server_that_takes_batches_is_sent_one() -> None:
    """Each is answered for itself: true, false, undefined, failed."""
    async with batching_opa() as peer:
        found = await asked_together(peer, 1, 2, CONFLICT, UNDEFINED)
        assert found[:2] == [Answer("false", "r1"), Answer("true", "r1")]
        assert str(found[2]).startswith("evaluation: complete rules")
        assert found[3] == Answer(None, "r1")
        assert (peer.batches, peer.single) == ([[1, 2, CONFLICT, UNDEFINED]], [])


async def test_a_batch_whose_questions_all_fail_fails_each() -> None:
    """Its status is 500 then, and still it says which failed how."""
    async with batching_opa() as peer:
        found = await asked_together(peer, CONFLICT, CONFLICT)
        assert all(str(each).startswith("evaluation: complete") for each in found)


async def test_one_question_alone_is_no_batch() -> None:
    """It goes the way it goes everywhere else."""
    async with batching_opa() as peer:
        assert await asked_together(peer, 2) == [Answer("true", "r1")]
        assert (peer.batches, peer.single) == ([], [2])


async def test_a_question_that_is_left_out_of_the_answer_has_none() -> None:
    """What is not there is not undefined, and not another's."""
    async with batching_opa() as peer:
        peer.forget.add(2)
        found = await asked_together(peer, 2, 4)
        assert str(found[0]).startswith("malformed: ")
        assert found[1] == Answer("true", "r1")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ([reply(b"{}")], Answer(None)),
        ([reply(ANSWERS)], Answer("1")),
        (
            [reply(b'{"responses":{"0":{"result":"\xff"},"1":{"result":1}}}')],
            "malformed",
        ),
        ([reply(b'{"responses":[]}')], "malformed"),
        ([reply(b"no", content_type="text/plain")], "malformed"),
        ([reply(b"no", status="500 Oops", content_type="text/plain")], "unavailable"),
        ([reply(b"{}", status="500 Oops")], "unavailable"),
        ([reply(ANSWERS, status="500 Oops")], "malformed"),
        ([reply(ANSWERS, status="503 Oops")], "unavailable"),
        ([reply(ANSWERS, status="207 Mixed")], Answer("1")),
        ([reply(b"{}", status="503 Oops")], "unavailable"),
        ([reply(b'{"code":"x","message":"y"}', status="400 Bad")], "input"),
        ([CLOSE], "unavailable"),
        ([HANG], "deadline"),
    ],
)
async def test_what_is_no_answer_to_a_batch_is_none_to_each(
    script: list[bytes | str], expected: Answer | str
) -> None:
    """The same kinds as for one question."""
    async with hostile([reply(b'{"responses":{}}')], [reply()], script) as peer:
        address = ServerAddress(url=peer.url, deadline_s=0.5)
        server = await connect(address, now_ns=lambda: 0)
        assert await server.evaluate(RULE, "{}") == Answer("true")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ended(server, n)) for n in (1, 2)]
        found = tasks[0].result()
        assert found == expected or str(found).startswith(f"{expected}: ")
        await server.close()
