"""What is counted: under the template of the subject, and exactly."""

from bus import Accepted
from bus.config.settings import TemplateSettings
from tests.fakes.buses import Inbox, new_bus


async def test_configured_templates_are_the_labels() -> None:
    """The first that matches counts; the rest is `other`, the bus's own `$bus`."""
    templates = (
        TemplateSettings(subject="orders.*"),
        TemplateSettings(subject="orders.>"),
    )

    async def answer(body: int) -> int:
        return body

    async with new_bus(templates=templates) as bus:
        bus.agent("worker").subscribe("orders.>", Inbox())
        bus.agent("worker").subscribe("ask", answer)
        planner = bus.agent("planner")
        for subject in ("orders.new", "orders.old", "orders.eu.new"):
            assert isinstance(await planner.publish(subject, 1), Accepted)
        assert await planner.request("ask", 1) == 1
        await planner.publish("a b", 1)
        await bus.settle()
        counts = {stats.template: stats for stats in bus.stats().subjects}
    accepted = {name: stats.accepted for name, stats in counts.items()}
    assert accepted["orders.*"] == 2
    assert accepted["orders.>"] == 1
    assert accepted["other"] == 1
    assert accepted["$bus"] == 1
    assert sum(stats.rejected for stats in counts.values()) == 1


async def test_no_subject_is_a_label_of_its_own() -> None:
    """What a subject names stays out of the metrics, however it is refused."""
    async with new_bus() as bus:
        bus.agent("worker").subscribe("secret-customer.>", Inbox())
        for n in range(5):
            await bus.agent("planner").publish(f"secret-customer.{n}", n)
            await bus.agent("planner").publish(f"bad subject {n}", n)
            await bus.agent("intern").publish(f"denied-{n}.x", n)
        await bus.settle()
        templates = {stats.template for stats in bus.stats().subjects}
    assert not any(f".{n}" in t or f" {n}" in t for t in templates for n in range(5))


async def test_what_is_queued_and_in_flight_is_told() -> None:
    """And both are 0 at rest."""
    async with new_bus() as bus:
        inbox = Inbox(held=True)
        bus.agent("worker").subscribe("a", inbox)
        await bus.agent("planner").publish_many([("a", n) for n in range(4)])
        await bus.settle()
        assert (bus.stats().queued, bus.stats().in_flight) == (3, 1)
        inbox.gate.set()
        await bus.settle()
        assert (bus.stats().queued, bus.stats().in_flight) == (0, 0)
