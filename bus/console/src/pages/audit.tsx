// The audit record: its check with the badge, and its rows, newest first, page by page.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { AuditRow, Verification } from "../api";
import { asFault, call, type Fault } from "../client";
import { useLoad } from "../load";
import { type Column, Grid } from "../parts/grid";
import { Status, Word } from "../parts/mark";
import { Busy, Empty, FaultNote } from "../parts/note";
import { Card, Facts, Field, MessageLink, Time } from "../parts/show";
import { address } from "../route";
import { many, number, when } from "../words";

const LIMIT = 200;
const ROWS_MAX = 10_000;
const ASK_AGAIN_MS = 700;
const FILTERS = ["event", "agent", "subject", "id"] as const;

const COLUMNS: readonly Column<AuditRow>[] = [
  { key: "seq", title: "Place", width: "64px", number: true, from: 800, cell: (r) => number(r.seq) },
  { key: "time", title: "Time", width: "142px", cell: (r) => <time class="number" title={r.time}>{when(r.time)}</time>, narrow: "more" },
  { key: "event", title: "Event", width: "124px", cell: (r) => <Word word={r.event} />, narrow: "side" },
  { key: "agent", title: "Agent", width: "minmax(80px, 1fr)", cell: (r) => <span class="mono">{r.agent}</span>, narrow: "more" },
  { key: "subject", title: "Subject", width: "minmax(110px, 1.5fr)", cell: (r) => <span class="mono">{r.subject || "–"}</span>, narrow: "first" },
  { key: "detail", title: "Detail", width: "minmax(120px, 2fr)", cell: (r) => <span title={r.detail}>{r.detail}</span>, narrow: "give" },
  { key: "id", title: "Message", width: "122px", cell: (r) => (/^[0-9a-f]{32}$/.test(r.id) ? <MessageLink id={r.id} /> : <span class="id">{r.id || "–"}</span>) },
];

export function Audit({ query }: { query: URLSearchParams }): JSX.Element {
  return (
    <div class="stack fill audit">
      <div class="head"><h1>Audit</h1><p>What happened, in a record that shows if it was changed.</p></div>
      <Check />
      <Records query={query} key={query.toString()} />
    </div>
  );
}

function Check(): JSX.Element {
  const loaded = useLoad((signal) => call("GET /v1/audit/verify", {}, { signal }), []);
  const [now, setNow] = useState<Verification | null>(null);
  const [fault, setFault] = useState<Fault | null>(null);
  const shown = now ?? loaded.data;
  const running = shown?.state === "running";
  useEffect(() => {
    if (!running) return undefined;
    const timer = window.setInterval(() => {
      call("GET /v1/audit/verify", {}).then(setNow, (thrown: unknown) => setFault(asFault(thrown)));
    }, ASK_AGAIN_MS);
    return () => clearInterval(timer);
  }, [running]);
  async function verify(): Promise<void> {
    setFault(null);
    try {
      setNow(await call("POST /v1/audit/verify", {}));
    } catch (thrown) {
      setFault(asFault(thrown));
    }
  }
  const trouble = fault ?? loaded.fault;
  return (
    <Card title="Is it whole?" aside={<button type="button" class="button" disabled={running} onClick={() => void verify()}>{shown?.state === "done" ? "Verify again" : "Verify now"}</button>}>
      <div class="inner stack">
        {trouble && <FaultNote fault={trouble} again={loaded.again} />}
        <div class="row" role="status" aria-live="polite">{shown ? <Badge check={shown} /> : !trouble && <Busy what="the last check" />}</div>
        {shown?.state === "done" && (
          <Facts facts={[
            ...(shown.ok === false && shown.broken_line !== null ? [["Broken at line", number(shown.broken_line)] as const] : []),
            ...(shown.ok === false ? [["What is wrong", shown.reason] as const] : []),
            ["Head", <span class="id">{shown.head ?? "–"}</span>],
            ["Checked", <><Time time={shown.ended} />{shown.by && <> by <span class="mono">{shown.by}</span></>}</>],
            ...(shown.head_checked === false ? [["Not seen", "A cut at the very end would not have been seen: no head is kept elsewhere."] as const] : []),
            ...(shown.unsealed ? [["Being written", `${number(shown.unsealed)} records`] as const] : []),
          ]} />
        )}
      </div>
    </Card>
  );
}

function Badge({ check }: { check: Verification }): JSX.Element {
  if (check.state === "running") return <Status tone="held" badge>Verifying, {number(Math.round(check.progress * 100))} %</Status>;
  if (check.state === "never" || check.ok === null) return <><Status tone="plain" badge>Not verified yet</Status><span class="quiet">Every record's place in the chain is computed anew and compared.</span></>;
  return check.ok
    ? <><Status tone="good" badge>Unbroken</Status><span>{number(check.records ?? 0)} records, each in its place.</span></>
    : <><Status tone="bad" badge>Broken</Status><span>The record is not what was written.</span></>;
}

function Records({ query }: { query: URLSearchParams }): JSX.Element {
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""])) as Record<(typeof FILTERS)[number], string>;
  const loaded = useLoad((signal) => call("GET /v1/audit", { limit: LIMIT, ...filters }, { signal }), []);
  const [more, setMore] = useState<{ items: AuditRow[]; next: string | null } | null>(null);
  const [fault, setFault] = useState<Fault | null>(null);
  const rows = [...(loaded.data?.items ?? []), ...(more?.items ?? [])];
  const next = more === null ? loaded.data?.next ?? null : more.next;
  const [busy, setBusy] = useState(false);
  async function older(): Promise<void> {
    if (next === null || busy) return;
    setBusy(true);
    setFault(null);
    try {
      const page = await call("GET /v1/audit", { limit: LIMIT, after: next, ...filters });
      setMore({ items: [...(more?.items ?? []), ...page.items], next: page.next });
    } catch (thrown) {
      setFault(asFault(thrown));
    }
    setBusy(false);
  }
  function apply(event: Event): void {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    location.hash = address("audit", "", Object.fromEntries(FILTERS.map((name) => [name, String(form.get(name) ?? "").trim()])));
  }
  const labels = { event: "Event", agent: "Agent", subject: "Subject", id: "Message id" };
  const filtered = FILTERS.some((name) => filters[name] !== "");
  const trouble = fault ?? loaded.fault;
  return (
    <>
      <form class="bar" onSubmit={apply}>
        {FILTERS.map((name) => <Field key={name} label={labels[name]} wide><input class="input mono" name={name} {...(name === "event" ? { "data-filter": true } : {})} defaultValue={filters[name]} placeholder="any" spellcheck={false} autocomplete="off" /></Field>)}
        <button type="submit" class="button">Show</button>
        <button type="button" class="button" onClick={() => { setMore(null); loaded.again(); }}>Newest</button>
      </form>
      {trouble && <FaultNote fault={trouble} again={loaded.again} />}
      <Grid
        name="Audit records" columns={COLUMNS} count={rows.length} at={(i) => rows[i]} id={(r) => String(r.seq)}
        open={(r) => { if (/^[0-9a-f]{32}$/.test(r.id)) location.hash = address("message", r.id); }}
        empty={loaded.data === null ? <div class="note">{loaded.loading && <Busy what="records" />}</div>
          : <Empty icon="audit" title={filtered ? "No record matches here." : "Nothing is recorded yet."}><p>{next !== null ? "So much was looked through. There is more: look further back." : filtered ? "Filters are exact words. Clear one to see more." : "Every decision and delivery leaves a record. The first comes with the first message."}</p>
            {next !== null && <button type="button" class="button" onClick={() => void older()}>Look further back</button>}</Empty>}
        foot={rows.length > 0 ? <>
          <span>{many(rows.length, "record")}{loaded.data && !loaded.data.durable ? ", kept in memory only: give the node an audit file to keep them" : ""}</span>
          {next !== null && rows.length < ROWS_MAX && <button type="button" class="button bare" disabled={busy} onClick={() => void older()}>Older records</button>}
          {rows.length >= ROWS_MAX && <span>This page shows no more. Narrow it down with a filter.</span>}
        </> : null}
      />
    </>
  );
}
