"""The worker, run inside this process: what it answers to what it is told."""

import resource
import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from policy import loading
from policy.evaluation import KINDS
from policy.isolation import wire
from policy.isolation.launch import told_by
from policy.isolation.terms import Terms
from policy.isolation.worker import OUT_OF_MEMORY, Confinement, serve
from tests.fakes import isolated, policies


def unlimited(kind: int, values: tuple[int, int]) -> None:
    """Set no limit: this process has more to do."""
    assert kind >= 0
    assert len(values) == 2


class Parent:
    """The other end of a worker's pipe."""

    def __init__(self, answer_bytes: int = 1_000) -> None:
        self._pipe, theirs = socket.socketpair()
        self._frames = wire.Frames(1 << 20)
        self._answer_bytes = answer_bytes
        self._worker = threading.Thread(target=self._run, args=(theirs,))
        self._worker.start()

    def _run(self, pipe: socket.socket) -> None:
        with pipe:
            serve(pipe.fileno(), Confinement(unlimited))

    def begin(self, text: str = isolated.RULES, *, trial: bool = False) -> wire.Told:
        """Send the terms and a policy; return what the worker tells."""
        terms = Terms().begin(trial=trial)
        answers = wire.Begin(
            terms.trial,
            terms.memory_bytes,
            terms.load_cpu_s,
            terms.question_cpu_s,
            self._answer_bytes,
        )
        self.send(wire.frame(answers) + wire.frame(isolated.bundle(text)))
        told = self.told()
        assert told is not None
        return told

    def ask(self, number: int, rule: str, document: str) -> wire.Told | None:
        """Ask one question."""
        self.send(wire.frame(wire.Ask(number, isolated.rule(rule), document)))
        return self.told()

    def send(self, content: bytes) -> None:
        """Write bytes as they are."""
        self._pipe.sendall(content)

    def told(self) -> wire.Told | None:
        """Return what comes next; None when the worker has ended."""
        while (found := self._frames.take()) is None:
            piece = self._pipe.recv(1 << 16)
            if not piece:
                return None
            self._frames.feed(piece)
        return wire.read_told(found)

    def close(self) -> None:
        """Close the pipe, at which the worker ends."""
        self._pipe.close()
        self._worker.join(10)
        assert not self._worker.is_alive()


@pytest.fixture
def parent() -> Iterator[Parent]:
    """A worker that ends with the test."""
    made = Parent()
    yield made
    made.close()


def test_a_trial_tells_what_the_entry_rule_reads(parent: Parent) -> None:
    """The same that the engine in the loop finds."""
    text = policies.authz('decision := {"allow": input.message.subject == "a"}')
    told = parent.begin(text, trial=True)
    assert told == wire.Ready(loading.build(isolated.bundle(text)).dependencies)


def test_a_spare_is_not_tried_out_again(parent: Parent) -> None:
    """It only loads, and is there sooner."""
    assert parent.begin() == wire.Ready(None)


def test_questions_are_answered_in_their_order(parent: Parent) -> None:
    """Also when several were sent at once."""
    parent.begin()
    document = '{"n": 1, "a": 1, "b": 2}'
    names = ("double", "maybe", "conflict", "double")
    parent.send(
        b"".join(
            wire.frame(wire.Ask(n, isolated.rule(name), document))
            for n, name in enumerate(names)
        )
    )
    told = [parent.told() for _ in names]
    assert told[0] == wire.Answered(0, "2")
    assert told[1] == wire.Answered(1, None)
    assert isinstance(told[2], wire.Failed)
    assert (told[2].kind, told[2].file) == ("evaluation", "authz.rego")
    assert told[3] == wire.Answered(3, "2")


def test_an_answer_past_its_bound_is_a_failure_and_the_worker_goes_on() -> None:
    """The bound is of what is sent, not of what the parent would have to read."""
    parent = Parent(answer_bytes=100)
    parent.begin(policies.authz('decision := {"allow": true}', "echo := input.x"))
    told = parent.ask(1, "echo", '{"x": "' + "y" * 200 + '"}')
    assert isinstance(told, wire.Failed)
    assert told.kind == "oversize"
    assert told.kind in KINDS
    assert parent.ask(2, "echo", '{"x": 1}') == wire.Answered(2, "1")
    parent.close()


@pytest.mark.parametrize("trial", [True, False])
def test_invalid_policy_is_refused_with_its_place(*, trial: bool) -> None:
    """As a PolicyLoadError would say it; then the worker ends."""
    parent = Parent()
    told = parent.begin(policies.authz("decision := {"), trial=trial)
    assert isinstance(told, wire.Refused)
    assert told.file == "authz.rego"
    assert told.line > 0
    assert parent.told() is None
    parent.close()


def test_a_worker_ends_with_its_pipe_before_it_was_told_anything() -> None:
    """A parent that died while it started one leaves nothing behind."""
    Parent().close()


def test_a_worker_is_confined_before_it_sees_a_policy() -> None:
    """Nothing to open, to start or to dump; memory within the terms."""
    limits: dict[int, tuple[int, int]] = {}
    confinement = Confinement(limits.__setitem__)
    confinement.begin(Terms(memory_bytes=1 << 28).begin(trial=True))
    assert limits.pop(resource.RLIMIT_AS) == (1 << 28, 1 << 28)
    assert set(limits.values()) == {(0, 0)}
    assert {resource.RLIMIT_CORE, resource.RLIMIT_NOFILE} < set(limits)


def test_processor_time_is_granted_for_each_question() -> None:
    """From now on, and never past what the system allows."""
    limits: dict[int, tuple[int, int]] = {}
    confinement = Confinement(limits.__setitem__)
    confinement.grant(100)
    first = limits.pop(resource.RLIMIT_CPU)
    assert first[0] > 100
    assert first[1] == resource.getrlimit(resource.RLIMIT_CPU)[1]
    confinement.grant(1_000)
    assert limits.pop(resource.RLIMIT_CPU)[0] > 1_000


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (None, "cannot be killed"),
        (OUT_OF_MEMORY, "out of memory"),
        (1, "status 1"),
        (-signal.SIGXCPU, "SIGXCPU"),
        (-signal.SIGABRT, "memory"),
        (-40, "signal 40"),
    ],
)
def test_the_end_of_a_worker_is_told_in_words(status: int | None, words: str) -> None:
    """An operator reads it in the reason of a denial."""
    assert words in told_by(status)
