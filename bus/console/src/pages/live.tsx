// What goes on now: a tail by subject pattern. Rows come in a ring and are drawn a few times
// a second, whatever comes. Paused, or scrolled away from the top, what is seen stands still.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { LiveRow, Missed } from "../api";
import type { Fault } from "../client";
import { pageKeys } from "../keys";
import { type Column, Grid } from "../parts/grid";
import { Icon, Status, Word } from "../parts/mark";
import { Empty, FaultNote } from "../parts/note";
import { Field, MessageLink } from "../parts/show";
import { Ring } from "../ring";
import { address } from "../route";
import { type Standing, Stream } from "../stream";
import { bytes, clock, number } from "../words";

const ROWS_MAX = 2_000;
const DRAW_MS = 200;
const OUTCOMES = ["accepted", "delivered", "denied", "held", "released", "dropped", "rejected", "failed", "dead", "expired", "evicted", "refused", "recalled"];

interface Seen extends LiveRow { key: string }

const COLUMNS: readonly Column<Seen>[] = [
  { key: "time", title: "Time", width: "98px", cell: (r) => <time class="mono" title={r.time}>{clock(r.time)}</time>, narrow: "more" },
  { key: "outcome", title: "Outcome", width: "108px", cell: (r) => <Word word={r.outcome} />, narrow: "side" },
  { key: "subject", title: "Subject", width: "minmax(140px, 2fr)", cell: (r) => <span class="mono">{r.subject}</span>, narrow: "first" },
  { key: "agent", title: "By or for", width: "minmax(90px, 1fr)", cell: (r) => <span class="mono">{r.agent}</span>, narrow: "more" },
  { key: "type", title: "Type", width: "minmax(60px, 0.8fr)", from: 900, cell: (r) => r.type ?? <span class="quiet">–</span> },
  { key: "size", title: "Size", width: "60px", from: 820, number: true, cell: (r) => (r.size === null ? "–" : bytes(r.size)) },
  { key: "reason", title: "Reason", width: "minmax(90px, 1.5fr)", from: 700, cell: (r) => <span title={r.reason}>{r.reason}</span>, narrow: "give" },
  { key: "id", title: "Message", width: "122px", cell: (r) => <MessageLink id={r.id} /> },
];

export function Live({ query }: { query: URLSearchParams }): JSX.Element {
  const filters = { pattern: query.get("pattern") ?? ">", sender: query.get("sender") ?? "", outcome: query.get("outcome") ?? "" };
  const path = `/v1/live?${new URLSearchParams(Object.entries(filters).filter(([, value]) => value !== ""))}`;
  const ring = useRef(new Ring<Seen>(ROWS_MAX)).current;
  const [standing, setStanding] = useState<Standing>("opening");
  const [fault, setFault] = useState<Fault | null>(null);
  const [paused, setPaused] = useState(false);
  const [away, setAway] = useState(false);
  const [, draw] = useState(0);
  const seen = useRef({ all: 0, missed: 0 }).current;
  const frozen = useRef<{ rows: Seen[]; at: number } | null>(null);

  useEffect(() => {
    ring.clear();
    seen.all = seen.missed = 0;
    frozen.current = null;
    let due = false;
    let drawn = 0;
    let timer = 0;
    function soon(): void {
      if (due) return;
      due = true;
      timer = window.setTimeout(() => requestAnimationFrame(() => {
        due = false;
        drawn = performance.now();
        draw((n) => n + 1);
      }), Math.max(0, DRAW_MS - (performance.now() - drawn)));
    }
    const stream = new Stream(path, {
      on: {
        message: (data) => {
          seen.all += 1;
          ring.add({ ...(data as LiveRow), key: String(seen.all) });
          soon();
        },
        missed: (data) => { seen.missed += (data as Missed).count; soon(); },
      },
      standing: (now, why) => { setStanding(now); setFault(why); },
    });
    return () => { clearTimeout(timer); stream.close(); };
  }, [path]);
  useEffect(() => {
    pageKeys.set(" ", () => setPaused((was) => !was));
    return () => { pageKeys.delete(" "); };
  }, []);

  const still = paused || away;
  if (still && frozen.current === null) frozen.current = { rows: ring.copy(), at: seen.all };
  if (!still) frozen.current = null;
  const held = frozen.current;
  const later = held ? seen.all - held.at : 0;

  return (
    <div class="stack fill live">
      <div class="head">
        <h1>Live</h1>
        <StandingMark standing={standing} paused={still} />
        <p>{held ? `${number(later)} since` : ""}</p>
      </div>
      <Filters {...filters}>
        <button type="button" class="button" onClick={() => setPaused(!paused)} aria-pressed={paused}>
          <Icon name={paused ? "play" : "pause"} />{paused ? "Go on" : "Pause"}
        </button>
        <button type="button" class="button" onClick={() => { ring.clear(); frozen.current = null; draw((n) => n + 1); }}>Clear</button>
      </Filters>
      {fault && <FaultNote fault={fault} />}
      <Grid
        name="What goes on" columns={COLUMNS}
        count={held ? held.rows.length : ring.count} at={(i) => (held ? held.rows[i] : ring.at(i))} id={(r) => r.key}
        open={(r) => { if (r.id) location.hash = address("message", r.id); }} away={setAway}
        empty={<Empty icon="live" title={standing === "live" ? "Nothing has happened since you are watching." : "Not following yet."}>
          <p>What is published, decided and delivered under <code>{filters.pattern}</code> appears here as it happens.
            {filters.sender || filters.outcome ? " The filters may leave everything out: clear them to see all." : " To see something, let an agent publish: "}
            {!(filters.sender || filters.outcome) && <code>assent pub SUBJECT BODY</code>}</p>
        </Empty>}
        foot={<>
          <span>{number(seen.all)} seen, the last {number(Math.min(seen.all, ROWS_MAX))} kept here</span>
          {seen.missed > 0 && <Status tone="warn">{number(seen.missed)} not shown: more came than the tail carries. The audit record has them.</Status>}
        </>}
      />
    </div>
  );
}

function StandingMark({ standing, paused }: { standing: Standing; paused: boolean }): JSX.Element {
  if (standing === "lost") return <Status tone="bad" badge>Lost, trying again</Status>;
  if (standing !== "live") return <Status tone="plain" badge>Opening</Status>;
  return paused ? <Status tone="held" badge>Paused</Status> : <Status tone="good" badge>Following</Status>;
}

function Filters({ pattern, sender, outcome, children }: { pattern: string; sender: string; outcome: string; children: JSX.Element[] }): JSX.Element {
  function apply(event: Event): void {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const read = (name: string): string => String(form.get(name) ?? "").trim();
    location.hash = address("live", "", { pattern: read("pattern") === ">" ? "" : read("pattern"), sender: read("sender"), outcome: read("outcome") });
  }
  return (
    <form class="bar" onSubmit={apply} key={`${pattern} ${sender} ${outcome}`}>
      <Field label="Subject pattern" wide><input class="input mono" name="pattern" data-filter defaultValue={pattern} spellcheck={false} autocomplete="off" /></Field>
      <Field label="Sender"><input class="input mono" name="sender" defaultValue={sender} placeholder="any" spellcheck={false} autocomplete="off" /></Field>
      <Field label="Outcome">
        <select class="input" name="outcome" defaultValue={outcome} onChange={(e) => e.currentTarget.form?.requestSubmit()}>
          <option value="">any</option>
          {OUTCOMES.map((word) => <option key={word} selected={word === outcome}>{word}</option>)}
        </select>
      </Field>
      <button type="submit" class="button">Follow</button>
      {children}
    </form>
  );
}
