"""One tenant's routes: everything about a subject that does not depend on the message.

Rule: a route is worked out once per subject and kept until any subscription of the
tenant changes. The memo is bounded; a full one starts anew.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from bus.core import subject as grammar
from bus.core.changes import Change
from bus.core.errors import LimitExceededError
from bus.core.limits import COOLDOWNS_MAX, COOLDOWNS_OF_AGENT_MAX, ROUTES_MEMO_MAX
from bus.core.routing import RoutingTree
from bus.core.stats import SubjectStats
from bus.ports import Processor, Strategy, UsageCell
from bus.streams import Stream
from bus.subscription import Subscription

Pattern = tuple[str, ...]
INBOX_TOKEN: Final = grammar.INBOX_PREFIX[:-1]
OTHER: Final = "other"
INVALID: Final = "invalid"
RESERVED: Final = "$bus"


class Plan(msgspec.Struct, frozen=True):
    """Which stages and strategies stand for which subjects.

    A message passes every stage that matches, in order; of the strategies that match,
    the first one plans.
    """

    stages: tuple[tuple[tuple[Pattern, ...], Processor], ...]
    strategies: tuple[tuple[Pattern, Strategy], ...]
    default: Strategy


class Route:
    """What a publish needs to know of its subject."""

    __slots__ = (
        "fixed",
        "guarded",
        "inbox",
        "members",
        "quiet",
        "reserved",
        "stages",
        "stats",
        "strategy",
        "stream",
        "takers",
        "tokens",
    )

    def __init__(
        self,
        takers: tuple[Subscription, ...],
        plan: Plan,
        tokens: Pattern,
        quiet: tuple[tuple[int, str], ...] = (),
    ) -> None:
        self.quiet = quiet
        self.tokens = tokens
        self.stream: Stream | None = None  # of the store, once one is needed
        self.inbox = tokens[0] == INBOX_TOKEN
        self.takers = takers
        self.members = frozenset(takers)
        self.reserved = tokens[0].startswith("$")
        self.guarded = self.reserved or bool(quiet)
        self.strategy = plan.default
        # On the bus's own subjects only stages and strategies that name them (`$...`).
        self.stages: tuple[Callable[..., Any], ...] = tuple(
            stage.process
            for patterns, stage in plan.stages
            if any(grammar.matches(pattern, tokens) for pattern in patterns)
        )
        if not self.reserved:
            self.strategy = _first(plan.strategies, tokens, plan.default)
        # What every message gets; None where the strategy must look at each.
        self.fixed = takers if takers and self.strategy.fixed(takers) else None
        self.stats: SubjectStats


class Counters:
    """Statistics per subject template, so that labels stay few."""

    def __init__(self, templates: Sequence[str]) -> None:
        self._patterns = [(grammar.parse_pattern(t), t) for t in templates]
        self.by_template: dict[str, SubjectStats] = {}

    def of(self, tokens: Pattern) -> SubjectStats:
        """Return the statistics for a parsed subject or pattern."""
        return self.named(self._template(tokens))

    def named(self, template: str) -> SubjectStats:
        """Return the statistics under a template's name."""
        stats = self.by_template.get(template)
        if stats is None:
            stats = self.by_template[template] = SubjectStats(template=template)
        return stats

    def _template(self, tokens: Pattern) -> str:
        if tokens[0].startswith("$"):
            return RESERVED
        for pattern, template in self._patterns:
            if grammar.matches(pattern, tokens):
                return template
        # Never the subject itself: it may name a customer, and there is no end to them.
        return OTHER


class Quiet(msgspec.Struct, frozen=True):
    """Subjects on which nothing is let in until then, who said so, and why."""

    tokens: Pattern
    by: str
    until_ns: int
    told: str


class RouteTable:
    """The subscriptions of one tenant and the routes worked out from them."""

    __slots__ = ("_counters", "_plan", "_quiet", "_tree", "memo")

    def __init__(self, plan: Plan, counters: Counters) -> None:
        self._plan = plan
        self._counters = counters
        self._tree: RoutingTree[Subscription] = RoutingTree()
        self._quiet: dict[tuple[Pattern, str], Quiet] = {}
        self.memo: dict[str, Route] = {}

    def quiet(self, asked: Quiet, now_ns: int) -> None:
        """Let nothing in under a pattern until then, in place of the same one's before.

        Raises:
            LimitExceededError: too many patterns are quiet already.
        """
        kept = {k: place for k, place in self._quiet.items() if place.until_ns > now_ns}
        kept.pop((asked.tokens, asked.by), None)
        own = sum(place.by == asked.by for place in kept.values())
        for what, actual, allowed in (
            ("cooldowns", len(kept) + 1, COOLDOWNS_MAX),
            (f"cooldowns of {asked.by}", own + 1, COOLDOWNS_OF_AGENT_MAX),
        ):
            if actual > allowed:
                raise LimitExceededError(what, actual=actual, allowed=allowed)
        self._quiet = {**kept, (asked.tokens, asked.by): asked}
        self.memo.clear()

    def add(self, subscription: Subscription) -> None:
        """Let a subscription receive from the next publish on."""
        self._tree.add(subscription.tokens, subscription)
        self.memo.clear()

    def remove(self, subscription: Subscription) -> bool:
        """Let a subscription receive nothing from the next publish on."""
        self.memo.clear()
        return self._tree.remove(subscription.tokens, subscription)

    def resolve(self, subject: str) -> Route:
        """Work out the route of a subject that is not in the memo.

        Raises:
            SubjectError, LimitExceededError: it breaks the grammar.
        """
        tokens = grammar.parse(subject)
        quiet = tuple(
            (place.until_ns, place.told)
            for place in self._quiet.values()
            if grammar.matches(place.tokens, tokens)
        )
        route = Route(tuple(self._tree.match(tokens)), self._plan, tokens, quiet)
        route.stats = self._counters.of(tokens)
        if len(self.memo) >= ROUTES_MEMO_MAX:
            self.memo.clear()
        self.memo[subject] = route
        return route

    def wanted(self, subject: str) -> bool:
        """Tell whether anybody subscribes to a subject of the bus's own making."""
        return bool(self._tree.match(tuple(subject.split("."))))


class Origin:
    """Where a publish comes from: the tenant's routes and the agent's usage.

    `strategy` plans instead of the one that the configuration has for the subject.
    `released` is the id of the one message that has been held and let go. With `early`
    ingest returns once a store has a message, with a future of its outcome; `extra` is
    what the store is to change in the same transaction.
    """

    __slots__ = ("early", "extra", "find", "released", "routes", "strategy", "usage")

    def __init__(
        self, routes: RouteTable, usage: UsageCell, strategy: Strategy | None = None
    ) -> None:
        self.routes = routes
        self.find = routes.memo.get
        self.usage = usage
        self.strategy = strategy
        self.released: bytes | None = None
        self.early = False
        self.extra: tuple[Change, ...] = ()

    def for_release(self, message_id: bytes) -> "Origin":
        """Return this origin for one message that somebody has released."""
        made = Origin(self.routes, self.usage, self.strategy)
        made.released, made.extra = message_id, self.extra
        return made


def _first(
    choices: Sequence[tuple[Pattern, Strategy]], tokens: Pattern, default: Strategy
) -> Strategy:
    for pattern, strategy in choices:
        if grammar.matches(pattern, tokens):
            return strategy
    return default
