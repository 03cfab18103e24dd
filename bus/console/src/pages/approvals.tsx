// The inbox of what waits for a person: read it, then release or refuse it, with a reason.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { ApprovalRow, Settled } from "../api";
import { call } from "../client";
import { everyPage, useLoad } from "../load";
import { OrderDialog } from "../parts/dialog";
import { Word } from "../parts/mark";
import { Busy, Empty, FaultNote } from "../parts/note";
import { bodyText, Code, Facts, MessageLink, Time } from "../parts/show";
import { away, brief, number } from "../words";

const PAGE = 50;
const SHOWN_MAX = 200;

export function Approvals(): JSX.Element {
  const loaded = useLoad(
    (signal) => everyPage((after) => call("GET /v1/approvals", { limit: PAGE, ...(after ? { after } : {}) }, { signal }), SHOWN_MAX),
    [], { follows: "approvals", everyMs: 10_000 },
  );
  const [order, setOrder] = useState<{ verb: "release" | "refuse"; row: ApprovalRow } | null>(null);
  const [settled, setSettled] = useState<Settled | null>(null);
  const items = loaded.data?.items ?? [];

  async function run(reason: string): Promise<void> {
    if (order === null) return;
    const asked = { id: order.row.id, reason };
    setSettled(order.verb === "release"
      ? await call("POST /v1/approvals/{id}/release", asked)
      : await call("POST /v1/approvals/{id}/refuse", asked));
    loaded.again();
  }
  return (
    <div class="stack loose">
      <div class="head"><h1>Approvals</h1><p>{items.length > 0 ? `${number(items.length)}${loaded.data?.cut ? " and more" : ""} waiting, the oldest first.` : "What policy holds until a person decides."}</p></div>
      {loaded.fault && <FaultNote fault={loaded.fault} again={loaded.again} />}
      {settled && <Outcome settled={settled} />}
      {loaded.data === null && loaded.loading && <Busy what="approvals" />}
      {loaded.data !== null && items.length === 0 && (
        <section class="card"><Empty icon="approvals" title="Nothing waits for you."><p>A message comes here when a rule of policy holds it. It waits until somebody who may releases or refuses it, or its time is up; then it is denied.</p></Empty></section>
      )}
      {items.map((row) => <Held key={row.id} row={row} order={(verb) => { setSettled(null); setOrder({ verb, row }); }} />)}
      {order && (
        <OrderDialog
          title={order.verb === "release" ? "Release the message" : "Refuse the message"}
          says={<><span class="mono">{order.row.subject}</span> from <span class="mono">{order.row.sender}</span>. {order.verb === "release" ? "It is decided and delivered as if it came now." : "It is denied, which is final."}</>}
          verb={order.verb === "release" ? "Release" : "Refuse"} danger={order.verb === "refuse"} run={run} close={() => setOrder(null)}
        />
      )}
    </div>
  );
}

function Held({ row, order }: { row: ApprovalRow; order: (verb: "release" | "refuse") => void }): JSX.Element {
  return (
    <article class="card" aria-label={`Held: ${row.subject}`}>
      <header>
        <h2 class="mono wrap">{row.subject}</h2>
        <span class="quiet">from <span class="mono">{row.sender}</span></span>
        <span class="row">
          <button type="button" class="button main-action" onClick={() => order("release")} aria-label={`Release ${row.subject}`}>Release</button>
          <button type="button" class="button danger" onClick={() => order("refuse")} aria-label={`Refuse ${row.subject}`}>Refuse</button>
        </span>
      </header>
      <div class="two flush">
        <div class="inner"><Facts facts={[
          ["Held because", row.reason], ["Since", <><Time time={row.since} /> <span class="quiet">({away(row.since)})</span></>],
          ["Denied if not released", <><Time time={row.until} /> <span class="quiet">({away(row.until)})</span></>],
          ["Type", row.type], ["Tenant", row.tenant], ["Authors", row.authors.join(", ") || row.sender],
          ["Message", <MessageLink id={row.id} />],
        ]} /></div>
        <Code text={bodyText(row.content)} name={`Body of ${row.subject}, ${brief(row.id)}`} />
      </div>
    </article>
  );
}

export function Outcome({ settled }: { settled: Settled }): JSX.Element {
  const tone = settled.status === "accepted" ? "good" : settled.status === "held" ? "warn" : "";
  return (
    <div class={`alert ${tone}`} role="status">
      <Word word={settled.status} />
      <p>{settled.duplicate ? "It had been accepted before. " : ""}{settled.deliveries !== null ? `${number(settled.deliveries)} to be delivered. ` : ""}{settled.reasons.join("; ")} <MessageLink id={settled.message_id} /></p>
    </div>
  );
}
