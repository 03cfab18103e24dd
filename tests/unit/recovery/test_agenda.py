"""The agenda: by time what is not due, by priority what is, and so many slots a lane."""

from hypothesis import given, strategies as st

from bus.recovery.agenda import Agenda, Lane

PLENTY: dict[Lane, int] = {"act": 1000, "check": 1000}
PLANS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 50), st.integers(0, 3)), max_size=60
)


def taken(agenda: Agenda, now_ns: int) -> list[str]:
    """Return the names whose turn it is."""
    return [name for name, _ in agenda.take(now_ns)]


@given(PLANS, st.integers(0, 50))
def test_everything_due_is_taken_by_priority_and_nothing_else(
    plans: list[tuple[int, int, int]], now_ns: int
) -> None:
    """Against a plain model: sorted, a later plan for a name in place of the earlier."""
    agenda = Agenda(PLENTY)
    model: dict[str, tuple[int, int, int]] = {}
    for order, (number, due_ns, priority) in enumerate(plans):
        agenda.put(f"n{number}", "act", due_ns, priority)
        model[f"n{number}"] = (-priority, due_ns, order)
    due = sorted((key, name) for name, key in model.items() if key[1] <= now_ns)
    later = sorted(key[1] for key in model.values() if key[1] > now_ns)
    assert taken(agenda, now_ns) == [name for _, name in due]
    assert agenda.next_ns() == (later[0] if later else None)
    assert len(agenda) == len(later)


def test_slots_are_kept_by_lane_and_given_on() -> None:
    """A lane that is full holds up no other."""
    agenda = Agenda({"act": 1, "check": 2})
    for number in range(3):
        agenda.put(f"a{number}", "act", number, 1)
        agenda.put(f"c{number}", "check", number, 1)
    assert agenda.take(9) == [("a0", "act"), ("c0", "check"), ("c1", "check")]
    assert agenda.take(9) == []
    agenda.free("act")
    assert agenda.take(9) == [("a1", "act")]


def test_what_was_dropped_has_no_turn() -> None:
    """Neither before it is due nor while it waits for a slot."""
    agenda = Agenda({"act": 1, "check": 1})
    for name in "abc":
        agenda.put(name, "act", 1, 1)
    agenda.put("d", "act", 5, 1)
    agenda.drop("d")
    agenda.drop("d")
    assert agenda.next_ns() == 1
    assert taken(agenda, 1) == ["a"]
    agenda.drop("b")
    assert agenda.next_ns() is None
    assert (agenda.due_ns("b"), agenda.due_ns("c")) == (None, 1)
    agenda.free("act")
    assert taken(agenda, 1) == ["c"]


def test_planning_anew_costs_no_memory() -> None:
    """What was dropped is cleared away, in the heap and in the queues."""
    agenda = Agenda({"act": 0, "check": 1})
    for now_ns in range(10_000):
        agenda.put("a", "act", now_ns, 1)
        if now_ns % 2:
            agenda.take(now_ns)
    held = agenda._waiting + [item[1:] for item in agenda._ready["act"]]  # noqa: SLF001 - memory is what is tested
    assert len(held) <= 70
    assert len(agenda) == 1
