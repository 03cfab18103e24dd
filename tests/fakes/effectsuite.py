"""What an inbox promises, whatever the database and its driver: tests to inherit.

Rule: a class that inherits has a fixture `desk`, with the tables made and empty.
"""

import asyncio
import sys

import pytest

from bus.core.errors import LimitExceededError, MalformedMessageError
from bus.core.storelimits import INBOX_KEEP_S_MAX
from bus.effects import ForgottenError, StaleTokenError, TransactionError
from tests.fakes.desks import AsyncDesk, Desk
from tests.fakes.effects import Hand, hand

DAY_S = 24 * 3600
DAY_NS = DAY_S * 1_000_000_000
START_NS = 1_700_000_000_000_000_000


class BrokenError(Exception):
    """What a handler of these tests fails with."""


class InboxSuite:
    """Effects once."""

    async def test_a_message_is_carried_out_once(self, desk: Desk) -> None:
        """However often it is handed over, by whatever token."""
        assert await desk.carry_out(hand(token=1), 1)
        assert not await desk.carry_out(hand(token=1), 1)
        assert not await desk.carry_out(hand(token=7), 1)
        assert await desk.numbers() == [1]

    async def test_a_handler_that_does_not_ask_writes_once_too(
        self, desk: Desk
    ) -> None:
        """What is written where it is not the first is rolled back."""
        assert await desk.carry_out(hand(token=1), 1, careless=True)
        assert not await desk.carry_out(hand(token=2), 1, careless=True)
        assert await desk.numbers() == [1]

    async def test_a_handler_that_fails_leaves_nothing(self, desk: Desk) -> None:
        """Its message is as if it had never been handed over."""
        with pytest.raises(BrokenError):
            await desk.fail(hand(token=1), 1, BrokenError())
        assert await desk.numbers() == []
        assert await desk.carry_out(hand(token=2), 1)
        assert await desk.numbers() == [1]

    async def test_a_stale_token_is_refused(self, desk: Desk) -> None:
        """A hand-over that was given up cannot write after the one that followed it."""
        assert await desk.carry_out(hand(token=5), 1)
        with pytest.raises(StaleTokenError, match="token 4 is older than 5") as told:
            await desk.carry_out(hand(token=4), 1, careless=True)
        assert (told.value.token, told.value.newest) == (4, 5)
        assert await desk.carry_out(hand(2, token=4), 2), "the connection is of use"
        assert await desk.numbers() == [1, 2]

    async def test_consumers_and_messages_are_kept_apart(self, desk: Desk) -> None:
        """Each consumer carries each message out."""
        for number in (1, 2):
            for consumer in ("one", "two"):
                assert await desk.carry_out(hand(number, consumer=consumer), number)
        assert await desk.numbers() == [1, 1, 2, 2]

    async def test_of_two_at_once_one_is_the_first(self, desk: Desk) -> None:
        """A hand-over and the one it was taken for dead by, on two connections."""
        made = desk.connect()
        other: Desk = (
            AsyncDesk(await made, desk.connect)
            if isinstance(desk, AsyncDesk)
            else type(desk)(made, desk.connect)  # type: ignore[call-arg]  # both take these
        )
        try:
            for number in range(10):
                async with asyncio.TaskGroup() as group:
                    one = group.create_task(_tried(desk, number, 1))
                    two = group.create_task(_tried(other, number, 2))
                assert sorted([one.result(), two.result()]) == [False, True]
        finally:
            await other.close()
        assert await desk.numbers() == list(range(10))

    async def test_an_open_transaction_is_not_joined_by_chance(
        self, desk: Desk
    ) -> None:
        """Nobody knows who would commit it."""
        await desk.sql("BEGIN")
        await desk.sql("INSERT INTO effects VALUES (9)")
        with pytest.raises(TransactionError, match="commit it first"):
            await desk.carry_out(hand(), 1)
        await desk.commit()
        assert await desk.numbers() == [9]
        assert await desk.carry_out(hand(), 1)

    async def test_a_commit_inside_is_told(self, desk: Desk) -> None:
        """The handler fails; what it committed is not done again."""
        with pytest.raises(TransactionError, match="do not commit"):
            await desk.carry_out(hand(token=1), 1, then=["COMMIT"])
        assert not await desk.carry_out(hand(token=2), 1)
        assert await desk.numbers() == [1]

    async def test_a_rollback_inside_is_told(self, desk: Desk) -> None:
        """What is written after it is not taken for committed."""
        with pytest.raises(TransactionError, match="do not commit"):
            await desk.carry_out(hand(token=1), 1, then=["ROLLBACK"])
        assert await desk.numbers() == []
        assert await desk.carry_out(hand(token=2), 1)

    async def test_a_transaction_of_the_users_own_can_be_joined(
        self, desk: Desk
    ) -> None:
        """Whoever began it ends it."""
        await desk.sql("BEGIN")
        assert await desk.join(hand(token=1))
        await desk.sql("ROLLBACK")
        await desk.sql("BEGIN")
        assert await desk.join(hand(token=2))
        await desk.sql("INSERT INTO effects VALUES (1)")
        await desk.commit()
        await desk.sql("BEGIN")
        assert not await desk.join(hand(token=3))
        with pytest.raises(StaleTokenError):
            await desk.join(hand(token=1))
        await desk.sql("ROLLBACK")
        assert await desk.numbers() == [1]

    @pytest.mark.parametrize("token", [-1, 1 << 63])
    async def test_a_token_that_no_database_can_keep_is_refused(
        self, desk: Desk, token: int
    ) -> None:
        """Before anything is written."""
        with pytest.raises(LimitExceededError, match="token"):
            await desk.carry_out(hand(token=token), 1)
        assert await desk.numbers() == []

    async def test_tables_are_made_once(self, desk: Desk) -> None:
        """Making them again changes nothing."""
        await desk.carry_out(hand(), 1)
        await desk.create_tables()
        assert not await desk.carry_out(hand(), 1)

    async def test_an_inbox_without_its_floor_refuses(self, desk: Desk) -> None:
        """What cannot be known is not guessed."""
        await desk.sql("DELETE FROM assent_inbox_floor")
        await desk.commit()
        with pytest.raises(TransactionError, match="create_tables"):
            await desk.carry_out(hand(), 1)
        assert await desk.numbers() == []

    async def test_a_purge_forgets_what_is_old_and_refuses_it_from_then_on(
        self, desk: Desk
    ) -> None:
        """A row that has gone is never taken for a message that never came."""
        for day in range(4):
            await desk.carry_out(_of_day(day), day)
        now_ns = START_NS + 3 * DAY_NS
        assert await desk.purge(1.5 * DAY_S, now_ns) == 2
        assert await desk.purge(1.5 * DAY_S, now_ns) == 0
        for day in (0, 1):
            with pytest.raises(ForgottenError, match="keep rows for longer"):
                await desk.carry_out(_of_day(day, token=2), day)
        for day in (2, 3):
            assert not await desk.carry_out(_of_day(day, token=2), day)
        assert await desk.carry_out(_of_day(1.5), 15), "it is above all that went"
        assert await desk.numbers() == [0, 1, 2, 3, 15]

    async def test_a_clock_that_jumps_does_no_lasting_harm(self, desk: Desk) -> None:
        """A purge in a far future refuses what it forgot, and nothing that comes."""
        await desk.carry_out(_of_day(0), 0)
        assert await desk.purge(DAY_S, START_NS + 9_000 * DAY_NS) == 1
        with pytest.raises(ForgottenError):
            await desk.carry_out(_of_day(0, token=2), 0)
        assert await desk.carry_out(_of_day(0.1), 1)

    async def test_a_purge_takes_a_part_at_a_time(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No transaction is longer than its bound, and all of them together do it."""
        for name in ("bus.effects.claiming", "bus.effects.inbox"):
            monkeypatch.setattr(sys.modules[name], "INBOX_PURGE_ROWS", 3)
        for number in range(8):
            await desk.carry_out(_of_day(number / 10), number)
        assert await desk.purge(0, START_NS + 9 * DAY_NS) == 8

    @pytest.mark.parametrize("keep_s", [-1, float("nan"), "a day"])
    async def test_a_purge_takes_seconds_only(self, desk: Desk, keep_s: float) -> None:
        """Anything else purges nothing."""
        with pytest.raises(MalformedMessageError):
            await desk.purge(keep_s, START_NS)
        with pytest.raises(LimitExceededError):
            await desk.purge(INBOX_KEEP_S_MAX + 1, START_NS)

    async def test_keeping_for_longer_than_time_has_passed_keeps_all(
        self, desk: Desk
    ) -> None:
        """No time before the epoch is asked for."""
        await desk.carry_out(hand(), 1)
        assert await desk.purge(DAY_S, now_ns=5) == 0


def _of_day(day: float, token: int = 1) -> Hand:
    return hand(int(day * 10) + 1, token, at_ns=START_NS + int(day * DAY_NS))


async def _tried(desk: Desk, number: int, token: int) -> bool:
    try:
        return await desk.carry_out(hand(number, token), number)
    except StaleTokenError:
        return False
