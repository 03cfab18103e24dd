// Recovery: the parts of the node, their breakers, what brings them back, and the steps that
// wait for a person.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { ComponentRow, HealthPoint, TransitionRow } from "../api";
import { call } from "../client";
import { useLoad } from "../load";
import { OrderDialog } from "../parts/dialog";
import { type Column, Grid } from "../parts/grid";
import { Status, type Tone, Word } from "../parts/mark";
import { Busy, Empty, FaultNote } from "../parts/note";
import { Card, Time } from "../parts/show";
import { clock, many, number, seconds } from "../words";

const LIMIT = 200;

const COLUMNS: readonly Column<TransitionRow>[] = [
  { key: "time", title: "Time", width: "98px", cell: (t) => <time class="mono" title={t.time}>{clock(t.time)}</time>, narrow: "more" },
  { key: "component", title: "Component", width: "minmax(110px, 1.2fr)", cell: (t) => <span class="mono">{t.component}</span>, narrow: "first" },
  { key: "step", title: "Step", width: "minmax(150px, 1.5fr)", cell: (t) => `${t.before} → ${t.after}`.replaceAll("_", " "), narrow: "more" },
  { key: "event", title: "Event", width: "minmax(90px, 1fr)", cell: (t) => t.event.replaceAll("_", " "), narrow: "side" },
  { key: "attempt", title: "Attempt", width: "60px", from: 700, number: true, cell: (t) => (t.attempt > 0 ? `${t.attempt}/${t.attempts}` : "–") },
  { key: "breaker", title: "Breaker", width: "96px", from: 800, cell: (t) => <Word word={t.breaker} /> },
  { key: "detail", title: "Detail", width: "minmax(110px, 2fr)", cell: (t) => <span title={t.detail}>{t.by ? `by ${t.by}. ` : ""}{t.detail}</span>, narrow: "give" },
];

const stateTone = (row: ComponentRow): Tone =>
  row.actions.includes("approve") ? "held" : row.breaker === "open" ? "bad" : row.attempt > 0 ? "warn" : "good";

export function Recovery(): JSX.Element {
  const loaded = useLoad((signal) => call("GET /v1/recovery", {}, { signal }), [], { follows: "recovery", everyMs: 5_000 });
  const history = useLoad((signal) => call("GET /v1/recovery/history", { limit: LIMIT }, { signal }), [], { follows: "recovery", everyMs: 10_000 });
  const [order, setOrder] = useState<{ verb: "approve" | "cancel"; row: ComponentRow } | null>(null);
  async function run(): Promise<void> {
    if (order === null) return;
    const asked = { component: order.row.component };
    if (order.verb === "approve") await call("POST /v1/recovery/{component}/approve", asked);
    else await call("POST /v1/recovery/{component}/cancel", asked);
    loaded.again();
    history.again();
  }
  const rows = history.data?.items ?? [];
  const waiting = loaded.data?.components.filter((row) => row.actions.includes("approve")) ?? [];
  return (
    <div class="stack fill recovery">
      <div class="head">
        <h1>Recovery</h1>
        {loaded.data && <><Word word={loaded.data.standing} badge /><span class="quiet">health {number(Math.round(loaded.data.score * (loaded.data.score <= 1 ? 100 : 1)))} of 100</span></>}
      </div>
      {loaded.fault && <FaultNote fault={loaded.fault} again={loaded.again} />}
      {waiting.length > 0 && <div class="alert warn" role="status"><p><strong>{many(waiting.length, "step")} {waiting.length === 1 ? "waits" : "wait"} for a person:</strong> {waiting.map((row) => row.component).join(", ")}</p></div>}
      <Card title="Components" aside={loaded.data ? <Health points={loaded.data.health} /> : undefined}>
        {loaded.data === null ? <div class="inner">{loaded.loading && <Busy what="components" />}</div>
          : loaded.data.components.length === 0 ? <Empty icon="recovery" title="Nothing is supervised."><p>Policy, store, audit and agent processes appear here when they are part of this node.</p></Empty>
          : <div class="parts">{loaded.data.components.map((row) => <Component key={row.component} row={row} order={(verb) => setOrder({ verb, row })} />)}</div>}
      </Card>
      {history.fault && <FaultNote fault={history.fault} again={history.again} />}
      <Grid
        name="Recovery history" columns={COLUMNS} count={rows.length} at={(i) => rows[i]} id={(t) => `${t.time} ${t.component} ${t.event} ${t.before}`}
        empty={history.data === null ? <div class="note">{history.loading && <Busy what="the history" />}</div>
          : <Empty icon="recovery" title="Nothing had to be brought back."><p>When a part fails, each step of its recovery is listed here: what was tried, when, and whether somebody approved it.</p></Empty>}
        foot={<span>{many(rows.length, "step")}, newest first</span>}
      />
      {order && (
        <OrderDialog
          title={`${order.verb === "approve" ? "Approve" : "Cancel"}: ${order.row.component}`} verb={order.verb === "approve" ? "Approve the step" : "Cancel the recovery"}
          says={order.verb === "approve" ? "The step that waits is carried out now." : "It is not tried again until somebody asks for it or the part is well again."}
          reason="none" danger={order.verb === "cancel"} run={run} close={() => setOrder(null)}
        />
      )}
    </div>
  );
}

function Component({ row, order }: { row: ComponentRow; order: (verb: "approve" | "cancel") => void }): JSX.Element {
  return (
    <div class="part" role="group" aria-label={row.component}>
      <div class="row apart">
        <span class="mono strong">{row.component}</span>
        <Status tone={stateTone(row)}>{row.state.replaceAll("_", " ")}</Status>
      </div>
      <p class="quiet">{row.kind} · breaker {row.breaker.replaceAll("_", " ")}{row.attempt > 0 ? ` · attempt ${row.attempt} of ${row.attempts}` : ""}{row.wait_ms !== null ? ` · next check in ${seconds(row.wait_ms / 1000)}` : ""}</p>
      {row.error && <p class="wrap problem">{row.error}</p>}
      {row.actions.length > 0 && (
        <div class="row">
          {row.actions.map((verb) => (
            <button key={verb} type="button" class={`button ${verb === "approve" ? "main-action" : ""}`} onClick={() => order(verb)} aria-label={`${verb === "approve" ? "Approve" : "Cancel"} ${row.component}`}>{verb === "approve" ? "Approve" : "Cancel"}</button>
          ))}
        </div>
      )}
    </div>
  );
}

function Health({ points }: { points: readonly HealthPoint[] }): JSX.Element | null {
  const first = points[0];
  if (first === undefined) return null;
  const worst = points.reduce((a, b) => (b.score < a.score ? b : a), first);
  return <span class="quiet">since <Time time={first.time} />, at worst <b>{worst.standing}</b></span>;
}
