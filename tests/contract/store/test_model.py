"""Random histories: whatever is done, in whatever order, each engine answers what the oracle answers.

Positions and epochs differ between engines, so each side is addressed by its own; everything else is compared.
"""

import asyncio
import os

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from forebay.store.commands import (
    AppendLog,
    CallNoisy,
    ChangeVisibility,
    ClaimTimers,
    CountMessages,
    CountTimers,
    DeadLetterRule,
    DeleteMessages,
    DeleteTimers,
    DropLog,
    ExpireLog,
    ExpireMessages,
    ExtendTimers,
    ForgetDuplicates,
    ListTimers,
    LogEntry,
    MeasureLog,
    NewMessage,
    NextTimer,
    PeekMessages,
    PurgeQueue,
    PutTimers,
    ReadLog,
    ReadLogByTime,
    Receipt,
    ReceiveMessages,
    SendMessages,
    Settlement,
    SettleTimers,
    Timer,
    VisibilityChange,
)
from forebay.store.memory import MemoryStore
from forebay.store.records import Kind

_SETTINGS = settings(
    max_examples=int(os.environ.get("FOREBAY_MODEL_EXAMPLES", "15")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

queues = st.integers(1, 3)
spans = st.integers(0, 60)
limits = st.integers(1, 4)


class _Pair(RuleBasedStateMachine):
    """Two engines side by side, and a clock stepped by hand."""

    def __init__(self, open_engine):
        super().__init__()
        self.open_engine = open_engine
        self.runner = asyncio.Runner()
        self.now = 1000
        self.engines = self.runner.run(self._open())

    async def _open(self):
        return [await self.open_engine(), MemoryStore()]

    def teardown(self):
        for engine in self.engines:
            self.runner.run(engine.close())
        self.runner.close()

    def reopen_engine(self):
        self.runner.run(self.engines[0].close())
        self.engines[0] = self.runner.run(self.open_engine())

    def ask(self, *commands):
        """Run one command per engine (or the same on both) and return both results."""
        engine, memory = commands if len(commands) == 2 else commands * 2
        return [self.runner.run(_one(store, one)) for store, one in zip(self.engines, (engine, memory), strict=True)]

    def same(self, *commands):
        left, right = self.ask(*commands)
        assert left == right, commands
        return left

    @rule(span=st.integers(1, 50))
    def let_time_pass(self, span):
        self.now += span


async def _one(engine, command):
    (result,) = await engine.submit((command,))
    return result


def _comparable(messages):
    return [msgspec.structs.replace(one, position=0) for one in messages]


class Messages(_Pair):
    def __init__(self, open_engine):
        super().__init__(open_engine)
        self.sent = 0
        # Each message that was ever known: its queue and its position in either engine.
        self.known = []

    def _learn(self, queue, left, right):
        assert [one.message_id for one in left] == [one.message_id for one in right]
        self.known += [(queue, (a.position, b.position)) for a, b in zip(left, right, strict=True)]

    @rule(
        queue=queues, count=st.integers(1, 5), delay=st.sampled_from([0, 0, 30]), life=st.sampled_from([40, 200, 999])
    )
    def send(self, queue, count, delay, life):
        new = []
        for _ in range(count):
            self.sent += 1
            new.append(NewMessage(f"m{self.sent}", "body", b"x", self.now, self.now + delay, self.now + life))
        self._learn(queue, *self.ask(SendMessages(queue, tuple(new))))

    @rule(
        queue=queues,
        limit=limits,
        timeout=spans,
        grave=st.sampled_from([None, None, (1, 1), (3, 2)]),
        in_flight_max=st.sampled_from([None, None, 3]),
    )
    def receive(self, queue, limit, timeout, grave, in_flight_max):
        rule = DeadLetterRule(grave[0], grave[1], 300) if grave else None
        command = ReceiveMessages(queue, self.now, self.now + timeout, limit, rule, in_flight_max)
        left, right = self.ask(command)
        assert _comparable(left.messages) == _comparable(right.messages)
        assert msgspec.structs.replace(left, messages=()) == msgspec.structs.replace(right, messages=())
        self._learn(queue, left.messages, right.messages)

    @rule(data=st.data(), count=st.integers(1, 3))
    def delete(self, data, count):
        queue, chosen = self._choose(data, count)
        self.same(*(DeleteMessages(queue, tuple(Receipt(pair[side], 1) for pair in chosen)) for side in (0, 1)))

    @rule(data=st.data(), count=st.integers(1, 3), span=spans)
    def change_visibility(self, data, count, span):
        queue, chosen = self._choose(data, count)
        self.same(
            *(
                ChangeVisibility(
                    queue,
                    self.now,
                    tuple(VisibilityChange(Receipt(pair[side], 1), self.now + span) for pair in chosen),
                )
                for side in (0, 1)
            )
        )

    def _choose(self, data, count):
        if not self.known:
            return 1, [(5, 5)]
        queue, _ = data.draw(st.sampled_from(self.known))
        of_queue = [pair for number, pair in self.known if number == queue]
        return queue, data.draw(st.lists(st.sampled_from(of_queue), min_size=1, max_size=count))

    @rule(queue=queues)
    def purge(self, queue):
        self.same(PurgeQueue(queue))

    @rule()
    def expire(self):
        self.same(ExpireMessages(self.now, 1000))

    @rule()
    def reopen(self):
        self.reopen_engine()

    @rule(queue=queues)
    def count(self, queue):
        self.same(CountMessages(queue, self.now))

    @rule(queue=queues)
    def peek(self, queue):
        left, right = self.ask(PeekMessages(queue, 0, 100))
        assert _comparable(left) == _comparable(right)
        self._learn(queue, left, right)


class Fifo(_Pair):
    """FIFO queues 1 and 2; 2 is also the dead-letter queue of 1."""

    queues = st.integers(1, 2)
    groups = st.sampled_from(["g", "h", "i"])

    def __init__(self, open_engine):
        super().__init__(open_engine)
        self.sent = 0
        self.known = []

    def _learn(self, queue, left, right):
        assert [one.message_id for one in left] == [one.message_id for one in right]
        self.known += [
            (queue, (a.position, b.position), getattr(a, "receive_count", 0)) for a, b in zip(left, right, strict=True)
        ]

    @rule(
        queue=queues,
        new=st.lists(st.tuples(groups, st.sampled_from([None, None, "x", "y", "z"])), min_size=1, max_size=6),
        delay=st.sampled_from([0, 0, 0, 30]),
        life=st.sampled_from([40, 200, 999]),
    )
    def send(self, queue, new, delay, life):
        messages = []
        for group, key in new:
            self.sent += 1
            name = f"m{self.sent}"
            times = (self.now, self.now + delay, self.now + life)
            messages.append(NewMessage(name, "body", b"x", *times, group, "d", key, self.now + 50))
        left, right = self.ask(SendMessages(queue, tuple(messages), is_fifo=True))
        assert [one.is_duplicate for one in left] == [one.is_duplicate for one in right]
        self._learn(queue, left, right)

    @rule(
        queue=queues,
        limit=st.integers(1, 6),
        timeout=spans,
        grave=st.sampled_from([None, None, 1, 2]),
        in_flight_max=st.sampled_from([None, None, 3]),
        attempt=st.sampled_from([None, None, "a", "b"]),
    )
    def receive(self, *, queue, limit, timeout, grave, in_flight_max, attempt):
        rule = DeadLetterRule(2, grave, 300) if grave and queue == 1 else None
        command = ReceiveMessages(
            queue, self.now, self.now + timeout, limit, rule, in_flight_max, True, attempt, self.now + 80
        )
        left, right = self.ask(command)
        assert _comparable(left.messages) == _comparable(right.messages)
        assert msgspec.structs.replace(left, messages=()) == msgspec.structs.replace(right, messages=())
        self._learn(queue, left.messages, right.messages)

    @rule(data=st.data(), count=st.integers(1, 3))
    def delete(self, data, count):
        queue, chosen = self._choose(data, count)
        self.same(
            *(
                DeleteMessages(queue, tuple(Receipt(pair[side], times) for pair, times in chosen), True, self.now)
                for side in (0, 1)
            )
        )

    @rule(data=st.data(), count=st.integers(1, 3), span=spans)
    def change_visibility(self, data, count, span):
        queue, chosen = self._choose(data, count)
        until = self.now + span
        self.same(
            *(
                ChangeVisibility(
                    queue,
                    self.now,
                    tuple(VisibilityChange(Receipt(pair[side], times), until) for pair, times in chosen),
                    True,
                )
                for side in (0, 1)
            )
        )

    def _choose(self, data, count):
        if not self.known:
            return 1, [((5, 5), 1)]
        # The last ones are the most likely to be in flight.
        queue, _, _ = data.draw(st.sampled_from(self.known[-12:]))
        of_queue = [(pair, times) for number, pair, times in self.known[-12:] if number == queue]
        return queue, data.draw(st.lists(st.sampled_from(of_queue), min_size=1, max_size=count))

    @rule(queue=queues)
    def purge(self, queue):
        self.same(PurgeQueue(queue))

    @rule()
    def expire(self):
        self.same(ExpireMessages(self.now, 1000))

    @rule()
    def forget(self):
        self.same(ForgetDuplicates(self.now, 1000))

    @rule()
    def reopen(self):
        self.reopen_engine()

    @rule(queue=queues)
    def count(self, queue):
        self.same(CountMessages(queue, self.now))

    @rule(queue=queues)
    def peek(self, queue):
        left, right = self.ask(PeekMessages(queue, 0, 100))
        assert _comparable(left) == _comparable(right)


class Fair(_Pair):
    """Queue 1 has tenants; 2 is its dead-letter queue."""

    tenants = st.sampled_from(["a", "b", "c", None])

    def __init__(self, open_engine):
        super().__init__(open_engine)
        self.sent = 0
        self.known = []

    def _learn(self, left, right):
        assert [one.message_id for one in left] == [one.message_id for one in right]
        self.known += [(a.position, b.position) for a, b in zip(left, right, strict=True)]

    def _send(self, tenant, count, delay, life=400_000):
        new = []
        for _ in range(count):
            self.sent += 1
            times = (self.now, self.now + delay, self.now + life)
            new.append(NewMessage(f"{tenant}{self.sent}", "body", b"x", *times, tenant))
        self._learn(*self.ask(SendMessages(1, tuple(new))))

    @initialize()
    def begin(self):
        # Messages without group that are older than the first with one are not told from tenants' by the engine.
        # Histories are short, so this one begins with a noisy tenant.
        self._send("a", 60, 0)
        self.receive(queue=1, limit=40, timeout=1000, grave=None)

    @rule(tenant=tenants, count=st.sampled_from([1, 2, 5, 60]), delay=st.sampled_from([0, 0, 0, 30]))
    def send(self, tenant, count, delay):
        self._send(tenant, count, delay)

    @rule(count=st.integers(1, 3))
    def send_short_lived(self, count):
        self._send("b", count, 0, 30)

    @rule(
        queue=st.sampled_from([1, 1, 1, 2]),
        limit=st.sampled_from([1, 2, 5, 40]),
        timeout=st.sampled_from([20, 50, 1000, 1000]),
        grave=st.sampled_from([None, None, 1, 2]),
    )
    def receive(self, *, queue, limit, timeout, grave):
        rule = DeadLetterRule(2, grave, 400_000) if grave and queue == 1 else None
        left, right = self.ask(ReceiveMessages(queue, self.now, self.now + timeout, limit, rule))
        assert _comparable(left.messages) == _comparable(right.messages)
        assert msgspec.structs.replace(left, messages=()) == msgspec.structs.replace(right, messages=())
        if queue == 1:
            self._learn(left.messages, right.messages)

    @rule(data=st.data(), count=st.integers(1, 30))
    def delete(self, data, count):
        start = data.draw(st.integers(0, len(self.known)))
        chosen = self.known[start : start + count] or [(5, 5)]
        self.same(*(DeleteMessages(1, tuple(Receipt(pair[side], 1) for pair in chosen)) for side in (0, 1)))

    @rule(data=st.data(), span=spans)
    def change_visibility(self, data, span):
        pair = data.draw(st.sampled_from(self.known))
        changes = [(VisibilityChange(Receipt(pair[side], 1), self.now + span),) for side in (0, 1)]
        self.same(*(ChangeVisibility(1, self.now, one) for one in changes))

    @rule(names=st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=2))
    def call_noisy(self, names):
        self.same(CallNoisy(1, tuple(names)))

    @rule()
    def let_five_minutes_pass(self):
        self.now += 300_000

    @rule()
    def purge(self):
        self.same(PurgeQueue(1))

    @rule()
    def expire(self):
        self.same(ExpireMessages(self.now, 1000))

    @rule()
    def reopen(self):
        self.reopen_engine()

    @rule(queue=st.integers(1, 2))
    def count(self, queue):
        self.same(CountMessages(queue, self.now))

    @rule(queue=st.integers(1, 2))
    def peek(self, queue):
        left, right = self.ask(PeekMessages(queue, 0, 100))
        assert _comparable(left) == _comparable(right)


class Timers(_Pair):
    def __init__(self, open_engine):
        super().__init__(open_engine)
        self.held = []

    keys = st.sampled_from("abcdef")
    kinds = st.sampled_from(["k", "l"])

    @rule(kind=kinds, names=st.lists(keys, min_size=1, max_size=4), due=spans, only_new=st.booleans())
    def put(self, kind, names, due, only_new):
        timers = tuple(Timer(kind, key, self.now + due + index, key.encode()) for index, key in enumerate(names))
        self.same(PutTimers(timers, only_new))

    @rule(kind=kinds, limit=limits, lease=spans)
    def claim(self, kind, limit, lease):
        left, right = self.ask(ClaimTimers(kind, self.now, self.now + lease, limit))
        assert [(one.key, one.due_at_ms, one.data) for one in left] == [
            (one.key, one.due_at_ms, one.data) for one in right
        ]
        self.held += [(kind, one.key, (one.epoch, other.epoch)) for one, other in zip(left, right, strict=True)]

    @rule(data=st.data(), due=st.one_of(st.none(), spans), payload=st.sampled_from([None, b"new"]))
    def settle(self, data, due, payload):
        kind, chosen = self._choose(data)
        due_at = None if due is None else self.now + due
        self.same(
            *(
                SettleTimers(kind, tuple(Settlement(key, epochs[side], due_at, payload) for key, epochs in chosen))
                for side in (0, 1)
            )
        )

    @rule(data=st.data(), lease=spans)
    def extend(self, data, lease):
        kind, chosen = self._choose(data)
        self.same(
            *(
                ExtendTimers(kind, tuple((key, epochs[side]) for key, epochs in chosen), self.now + lease)
                for side in (0, 1)
            )
        )

    def _choose(self, data):
        if not self.held:
            return "k", [("a", (1, 1))]
        kind, _, _ = data.draw(st.sampled_from(self.held))
        of_kind = [(key, epochs) for name, key, epochs in self.held if name == kind]
        return kind, data.draw(st.lists(st.sampled_from(of_kind), min_size=1, max_size=3))

    @rule(kind=kinds, names=st.lists(keys, min_size=1, max_size=3))
    def delete(self, kind, names):
        self.same(DeleteTimers(kind, tuple(names)))

    @rule()
    def reopen(self):
        self.reopen_engine()

    @invariant()
    def agree(self):
        for kind in ("k", "l"):
            self.same(NextTimer(kind))
            self.same(CountTimers(kind))
            left, right = self.ask(ListTimers(kind, 100))
            assert [(one.key, one.due_at_ms) for one in left] == [(one.key, one.due_at_ms) for one in right]


class Log(_Pair):
    streams = st.sampled_from(["s", "t"])

    @rule(
        stream=streams, offsets=st.lists(st.integers(-20, 20), min_size=1, max_size=5), life=st.sampled_from([None, 30])
    )
    def append(self, stream, offsets, life):
        expires_at = None if life is None else self.now + life
        entries = tuple(LogEntry(self.now + offset, str(offset).encode(), expires_at) for offset in offsets)
        self.same(AppendLog(stream, entries))

    @rule(stream=streams, count=st.integers(1, 5))
    def append_in_order(self, stream, count):
        self.same(AppendLog(stream, tuple(LogEntry(self.now, b"now") for _ in range(count))))

    @rule(stream=streams)
    def drop(self, stream):
        self.same(DropLog(stream))

    @rule()
    def expire(self):
        self.same(ExpireLog(self.now, 1000))

    @rule(
        stream=streams,
        limit=st.integers(1, 20),
        after=st.integers(0, 10),
        before=st.one_of(st.none(), st.integers(1, 20)),
        since=st.one_of(st.none(), st.integers(-60, 10)),
        span=st.one_of(st.none(), st.integers(0, 60)),
        newest_first=st.booleans(),
    )
    def read(self, *, stream, limit, after, before, since, span, newest_first):
        from_ms = None if since is None else self.now + since
        until_ms = None if span is None else (self.now if from_ms is None else from_ms) + span
        self.same(ReadLog(stream, limit, after, before, from_ms, until_ms, newest_first))

    @rule(
        stream=streams,
        limit=st.integers(1, 20),
        since=st.integers(-60, 10),
        span=st.integers(0, 60),
        after=st.one_of(st.none(), st.tuples(st.integers(-60, 10), st.integers(0, 10))),
    )
    def read_by_time(self, *, stream, limit, since, span, after):
        from_ms = self.now + since
        last = None if after is None else (self.now + after[0], after[1])
        self.same(ReadLogByTime(stream, limit, from_ms, from_ms + span, last))

    @rule(stream=streams)
    def measure(self, *, stream):
        self.same(MeasureLog(stream))


class Thing(msgspec.Struct, frozen=True):
    number: int


KINDS = [Kind("one", Thing), Kind("two", Thing)]


class Records(_Pair):
    kinds = st.sampled_from(KINDS)
    keys = st.text(alphabet="ab\x1f-é\U0010ffff", min_size=1, max_size=3)

    @initialize()
    def watch(self):
        self.seen = [[], []]
        for engine, seen in zip(self.engines, self.seen, strict=True):
            for kind in KINDS:
                engine.watch(kind, lambda key, value, kind=kind, seen=seen: seen.append((kind.name, key, value)))

    def both(self, work):
        left, right = [self.runner.run(engine.transact(work)) for engine in self.engines]
        assert left == right

    @rule(kind=kinds, key=keys, number=st.integers())
    def put(self, kind, key, number):
        self.both(lambda transaction: transaction.records.put(kind, key, Thing(number)))

    @rule(kind=kinds, key=keys)
    def delete(self, kind, key):
        self.both(lambda transaction: transaction.records.delete(kind, key))

    @rule(kind=kinds, key=keys)
    def fail(self, kind, key):
        def work(transaction):
            transaction.records.put(kind, key, Thing(-1))
            raise ZeroDivisionError

        for engine in self.engines:
            try:
                self.runner.run(engine.transact(work))
            except ZeroDivisionError:
                continue
            raise AssertionError("the exception was swallowed")

    @rule(kind=kinds, key=keys)
    def find(self, kind, key):
        left, right = [self.runner.run(engine.find(kind, key)) for engine in self.engines]
        assert left == right

    @rule(
        kind=kinds,
        prefix=st.one_of(st.just(""), keys),
        after=st.one_of(st.just(""), keys),
        limit=st.one_of(st.none(), st.integers(0, 5)),
    )
    def list(self, kind, prefix, after, limit):
        self.both(lambda transaction: list(transaction.records.list(kind, prefix, after=after, limit=limit)))

    @rule(sequence=st.sampled_from("xy"))
    def next_number(self, sequence):
        self.both(lambda transaction: transaction.records.next_number(sequence))

    @invariant()
    def watchers_saw_the_same(self):
        assert self.seen[0] == self.seen[1]


@pytest.fixture
def agree(request, reopener):
    """Return a function that runs a machine; opening a database anew costs more than opening a file."""
    is_slow = request.node.callspec.params["reopener"] == "postgres"

    def run(machine):
        examples = max(_SETTINGS.max_examples // 3, 1) if is_slow else _SETTINGS.max_examples
        run_state_machine_as_test(lambda: machine(reopener()), settings=settings(_SETTINGS, max_examples=examples))

    return run


def test_messages_agree_with_the_oracle(agree):
    agree(Messages)


def test_fifo_queues_agree_with_the_oracle(agree):
    agree(Fifo)


def test_fair_queues_agree_with_the_oracle(agree):
    agree(Fair)


def test_timers_agree_with_the_oracle(agree):
    agree(Timers)


def test_log_agrees_with_the_oracle(agree):
    agree(Log)


def test_records_agree_with_the_oracle(agree):
    agree(Records)
