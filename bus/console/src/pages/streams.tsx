// Streams and consumers: what is kept, who lags, what is in hand, how old the oldest is.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { ConsumerRow, StreamLine } from "../api";
import { call } from "../client";
import { everyPage, useLoad } from "../load";
import { OrderDialog } from "../parts/dialog";
import { type Column, Grid, useSorted } from "../parts/grid";
import { Status } from "../parts/mark";
import { Busy, Empty, FaultNote } from "../parts/note";
import { bytes, compact, many, number, seconds } from "../words";

const PAGE = 500;
const SHOWN_MAX = 5_000;
const unknown = <span class="quiet">–</span>;

const DISCARDS = { settled: "settled ones go", old: "the oldest go", refuse: "new ones are refused" };

const STREAMS: readonly Column<StreamLine>[] = [
  { key: "name", title: "Stream", width: "minmax(100px, 1fr)", cell: (s) => <span class="mono">{s.name}</span>, by: (s) => s.name, narrow: "first" },
  { key: "tenant", title: "Tenant", width: "minmax(70px, 1fr)", cell: (s) => s.tenant, by: (s) => s.tenant, narrow: "side" },
  { key: "subjects", title: "Subjects", width: "minmax(80px, 1fr)", from: 700, cell: (s) => <span class="mono">{s.subjects.join(", ")}</span>, by: (s) => s.subjects.join() },
  { key: "messages", title: "Messages", width: "84px", number: true, cell: (s) => compact(s.messages), by: (s) => s.messages, narrow: "more", label: "messages" },
  { key: "bytes", title: "Size", width: "84px", number: true, cell: (s) => bytes(s.bytes), by: (s) => s.bytes, narrow: "more" },
  { key: "first", title: "First", width: "84px", number: true, cell: (s) => compact(s.first), by: (s) => s.first },
  { key: "last", title: "Last", width: "84px", number: true, cell: (s) => compact(s.last), by: (s) => s.last, narrow: "more", label: "last" },
  { key: "limits", title: "Kept at most", width: "minmax(150px, 2fr)", from: 900, cell: (s) => `${compact(s.limits.max_messages)} / ${bytes(s.limits.max_bytes)}${s.limits.max_age_seconds === null ? "" : ` / ${seconds(s.limits.max_age_seconds)}`}; then ${DISCARDS[s.limits.discard]}` },
];

const CONSUMERS: readonly Column<ConsumerRow>[] = [
  { key: "name", title: "Consumer", width: "minmax(120px, 1.5fr)", cell: (c) => <span class="mono">{c.name}</span>, by: (c) => c.name, narrow: "first" },
  { key: "pattern", title: "Pattern", width: "minmax(80px, 1.2fr)", cell: (c) => <span class="mono">{c.pattern}</span>, by: (c) => c.pattern, narrow: "give" },
  { key: "agent", title: "Agent", width: "minmax(70px, 1fr)", from: 860, cell: (c) => <span class="mono">{c.agent}</span>, by: (c) => c.agent },
  { key: "members", title: "Members", width: "98px", cell: (c) => (c.members > 0 ? <Status tone="good">{number(c.members)}</Status> : <Status tone="plain">nobody</Status>), by: (c) => c.members, narrow: "side" },
  { key: "pending", title: "Lag", width: "60px", number: true, cell: (c) => compact(c.pending), by: (c) => c.pending, narrow: "more", label: "lag" },
  { key: "in_flight", title: "In flight", width: "68px", number: true, cell: (c) => compact(c.in_flight), by: (c) => c.in_flight, narrow: "more", label: "in flight" },
  { key: "delayed", title: "Delayed", width: "60px", from: 800, number: true, cell: (c) => compact(c.delayed), by: (c) => c.delayed },
  { key: "redelivered", title: "Again", width: "52px", from: 760, number: true, cell: (c) => (c.redelivered === null ? unknown : compact(c.redelivered)), by: (c) => c.redelivered ?? -1 },
  { key: "dead", title: "Dead", width: "54px", number: true, cell: (c) => (c.dead === null ? unknown : compact(c.dead)), by: (c) => c.dead ?? -1 },
  { key: "oldest", title: "Oldest", width: "84px", number: true, cell: (c) => seconds(c.oldest_seconds), by: (c) => c.oldest_seconds ?? -1, narrow: "more", label: "oldest" },
];

export function Streams(): JSX.Element {
  const streams = useLoad((signal) => call("GET /v1/streams", { limit: PAGE }, { signal }), [], { everyMs: 5_000 });
  const consumers = useLoad(
    (signal) => everyPage((after) => call("GET /v1/consumers", { limit: PAGE, ...(after ? { after } : {}) }, { signal }), SHOWN_MAX),
    [], { follows: "consumers", everyMs: 3_000 },
  );
  const [rewind, setRewind] = useState<ConsumerRow | null>(null);
  const [said, say] = useState("");
  const lines = useSorted(streams.data?.items ?? [], STREAMS, { key: "name", down: false });
  const rows = useSorted(consumers.data?.items ?? [], CONSUMERS, { key: "pending", down: true });
  async function run(): Promise<void> {
    if (rewind === null) return;
    const done = await call("POST /v1/consumers/{name}/rewind", { name: rewind.name, tenant: rewind.tenant });
    say(`${number(done.deliveries)} deliveries of ${done.consumer} come again, ${number(done.in_hand)} of which were in hand.`);
    consumers.again();
  }
  return (
    <div class="stack fill streams">
      <div class="head"><h1>Streams and consumers</h1><p>What is kept, and who has yet to take it.</p></div>
      {streams.fault && <FaultNote fault={streams.fault} again={streams.again} />}
      {consumers.fault && <FaultNote fault={consumers.fault} again={consumers.again} />}
      {said && <div class="alert good" role="status"><p>{said}</p></div>}
      <Grid
        name="Consumers" columns={CONSUMERS} count={rows.rows.length} at={(i) => rows.rows[i]} id={(c) => `${c.tenant}/${c.name}/${c.agent}/${c.pattern}`}
        order={rows.order} sort={rows.sort} open={(c) => { if (c.durable) { say(""); setRewind(c); } }}
        empty={consumers.data === null ? <div class="note">{consumers.loading && <Busy what="consumers" />}</div>
          : <Empty icon="streams" title="Nobody consumes."><p>A consumer appears when an agent subscribes: <code>assent sub PATTERN</code>. With <code>durable=NAME</code> it is kept, and what comes while nobody is connected waits for it.</p></Empty>}
        foot={<span>{many(rows.rows.length, "consumer")}. Choose a durable one to take it back to its last ack.</span>}
      />
      <Grid
        name="Streams" columns={STREAMS} count={lines.rows.length} at={(i) => lines.rows[i]} id={(s) => `${s.tenant}/${s.name}`}
        order={lines.order} sort={lines.sort}
        empty={streams.data === null ? <div class="note">{streams.loading && <Busy what="streams" />}</div>
          : <Empty icon="streams" title={streams.data.durable ? "No stream yet." : "This node keeps nothing."}><p>{streams.data.durable ? "A stream is made with the first message that a tenant publishes." : "It runs without a store: what is accepted lives in memory only. Give it one with --store FILE to have streams."}</p></Empty>}
        foot={<span>{many(lines.rows.length, "stream")}</span>}
      />
      {rewind && (
        <OrderDialog
          title={`Take back: ${rewind.name}`} verb="Take back" reason="none" confirm={rewind.name} danger run={run} close={() => setRewind(null)}
          says="Everything after its last ack is delivered again, what a handler has in hand included."
        />
      )}
    </div>
  );
}
