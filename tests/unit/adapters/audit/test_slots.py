"""Slots are used in turn, and hold what a block may hold and no more."""

from bus.adapters.audit.slots import Pool
from bus.core.limits import AUDIT_SEAL_RECORDS_MAX, AUDIT_SLOT_BYTES, AUDIT_SLOTS_KEPT


def test_a_slot_comes_back_empty() -> None:
    """What the last block held is not in the next."""
    pool = Pool()
    slot = pool.lend(10)
    assert slot.add(b"one\n", 1)
    pool.give_back(slot)
    again = pool.lend(10)
    assert again is slot
    assert (bytes(again.lines), again.records) == (b"", 0)


def test_a_slot_holds_a_block_and_no_more() -> None:
    """Neither more bytes than it has nor more records than a seal covers."""
    slot = Pool().lend(1)
    assert slot.add(b"x" * (AUDIT_SLOT_BYTES - 1), AUDIT_SEAL_RECORDS_MAX - 1)
    assert not slot.add(b"xx", 1)
    assert not slot.add(b"x", 2)
    assert slot.add(b"x", 1)
    assert len(slot.lines) == AUDIT_SLOT_BYTES


def test_lines_longer_than_a_slot_get_one_of_their_own() -> None:
    """It is let go afterwards: memory stays bounded."""
    pool = Pool()
    slot = pool.lend(AUDIT_SLOT_BYTES + 1)
    assert slot.add(b"x" * (AUDIT_SLOT_BYTES + 1), 1)
    pool.give_back(slot)
    assert pool.lend(1) is not slot


def test_a_pool_keeps_few_slots() -> None:
    """After a backlog the memory it took is let go."""
    pool = Pool()
    lent = [pool.lend(1) for _ in range(AUDIT_SLOTS_KEPT + 3)]
    for slot in lent:
        pool.give_back(slot)
    back = [pool.lend(1) for _ in lent]
    assert sum(slot in lent for slot in back) == AUDIT_SLOTS_KEPT
