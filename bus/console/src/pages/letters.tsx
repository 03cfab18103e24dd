// Dead letters: what was given up, why, and sending it once more, as it was or corrected.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { LetterRow, Settled } from "../api";
import { asFault, call, type Fault } from "../client";
import { everyPage, useLoad } from "../load";
import { type Column, Grid, useSorted } from "../parts/grid";
import { Busy, Empty, FaultNote } from "../parts/note";
import { bodyText, Detail, Facts, Field, MessageLink, Time } from "../parts/show";
import { address } from "../route";
import { number, when } from "../words";
import { Outcome } from "./approvals";

const PAGE = 200;
const SHOWN_MAX = 5_000;

const COLUMNS: readonly Column<LetterRow>[] = [
  { key: "time", title: "Given up", width: "142px", cell: (l) => <time class="number" title={l.time}>{when(l.time)}</time>, by: (l) => l.time, narrow: "side" },
  { key: "subject", title: "Subject", width: "minmax(130px, 1.5fr)", cell: (l) => <span class="mono">{l.subject ?? "not kept"}</span>, by: (l) => l.subject ?? "", narrow: "first" },
  { key: "consumer", title: "Consumer", width: "minmax(80px, 1fr)", from: 600, cell: (l) => <span class="mono">{l.consumer}</span>, by: (l) => l.consumer, narrow: "more" },
  { key: "sender", title: "Sender", width: "minmax(80px, 1fr)", from: 860, cell: (l) => <span class="mono">{l.sender ?? "–"}</span>, by: (l) => l.sender ?? "" },
  { key: "attempts", title: "Attempts", width: "66px", from: 760, number: true, cell: (l) => number(l.attempts), by: (l) => l.attempts },
  { key: "reason", title: "Reason", width: "minmax(120px, 2fr)", cell: (l) => <span title={l.reason}>{l.reason}</span>, by: (l) => l.reason, narrow: "give" },
];

export function Letters({ argument }: { argument: string }): JSX.Element {
  const loaded = useLoad(
    (signal) => everyPage((after) => call("GET /v1/dead-letters", { limit: PAGE, ...(after ? { after } : {}) }, { signal }), SHOWN_MAX),
    [], { follows: "letters", everyMs: 15_000 },
  );
  const [text, setText] = useState("");
  const items = loaded.data?.items ?? [];
  const wanted = text.trim().toLowerCase();
  const matching = wanted === "" ? items : items.filter((l) => `${l.subject} ${l.consumer} ${l.sender} ${l.reason}`.toLowerCase().includes(wanted));
  const { rows, order, sort } = useSorted(matching, COLUMNS, { key: "time", down: true });
  return (
    <div class="stack fill">
      <div class="head"><h1>Dead letters</h1><p>What no consumer could take, with the reason.</p></div>
      {loaded.fault && <FaultNote fault={loaded.fault} again={loaded.again} />}
      <div class="bar"><Field label="Find a letter" wide><input class="input" type="search" data-filter value={text} placeholder="subject, consumer, sender or reason" onInput={(e) => setText(e.currentTarget.value)} /></Field></div>
      <div class={`split${argument ? " open" : ""} wide-detail`}>
        <Grid
          name="Dead letters" columns={COLUMNS} count={rows.length} at={(i) => rows[i]} id={(l) => l.id} chosen={argument || null}
          open={(l) => { location.hash = address("letters", l.id === argument ? "" : l.id); }} order={order} sort={sort}
          empty={loaded.data === null ? <div class="note">{loaded.loading && <Busy what="dead letters" />}</div>
            : items.length > 0 ? <Empty icon="letters" title="No letter matches."><p>Clear the filter to see all {number(items.length)}.</p></Empty>
            : <Empty icon="letters" title="Nothing was given up."><p>A message comes here when its last attempt failed, its handler ended it, or policy took away who it was for. Correct the cause, then send it once more from here.</p></Empty>}
          foot={<span>{number(rows.length)} of {number(items.length)}{loaded.data?.cut ? " and more" : ""} letters</span>}
        />
        {argument && <Letter id={argument} key={argument} done={loaded.again} />}
      </div>
    </div>
  );
}

function Letter({ id, done }: { id: string; done: () => void }): JSX.Element {
  const loaded = useLoad((signal) => call("GET /v1/dead-letters/{id}", { id }, { signal }), [id]);
  const letter = loaded.data;
  return (
    <Detail name="Dead letter" title={letter?.subject ?? "Dead letter"} back={address("letters")} ready={letter !== null}>
      {loaded.fault && <div class="inner"><FaultNote fault={loaded.fault} again={loaded.again} /></div>}
      {letter === null ? !loaded.fault && <div class="inner"><Busy what="the letter" /></div> : (
        <div class="inner stack loose">
          <Facts facts={[
            ["Reason", letter.reason], ["Consumer", <span class="mono">{letter.consumer}</span>], ["Attempts", number(letter.attempts)], ["Given up", <Time time={letter.time} />],
            ["Sender", <span class="mono">{letter.sender ?? "–"}</span>], ["Type", letter.type ?? "–"], ["Tenant", letter.tenant], ["Message", <MessageLink id={letter.message_id} />],
          ]} />
          <Replay letter={letter} done={done} />
        </div>
      )}
    </Detail>
  );
}

function Replay({ letter, done }: { letter: LetterRow; done: () => void }): JSX.Element {
  const content = letter.content;
  const octets = content?.body === undefined;
  const first = content ? bodyText(content) : "";
  const [text, setText] = useState(first);
  const [fault, setFault] = useState<Fault | null>(null);
  const [wrong, setWrong] = useState("");
  const [settled, setSettled] = useState<Settled | null>(null);
  const [busy, setBusy] = useState(false);
  if (content === null || content.left_out !== "") return <p class="quiet">{content === null ? "The message is kept no longer, so there is nothing to send." : first}</p>;

  async function send(event: Event): Promise<void> {
    event.preventDefault();
    setFault(null);
    setWrong("");
    const asked: { id: string; body?: unknown; body_base64?: string; content_type?: string } = { id: letter.id };
    if (text !== first) {
      if (octets) {
        asked.body_base64 = text.trim();
        if (content) asked.content_type = content.content_type;
      } else {
        try {
          asked.body = typeof content?.body === "string" ? text : JSON.parse(text);
        } catch (error) {
          setWrong(`This is not JSON: ${error instanceof Error ? error.message : "it cannot be read"}`);
          return;
        }
      }
    }
    setBusy(true);
    try {
      setSettled(await call("POST /v1/dead-letters/{id}/resend", asked));
      done();
    } catch (thrown) {
      setFault(asFault(thrown));
    }
    setBusy(false);
  }
  return (
    <form class="stack" onSubmit={(event) => void send(event)}>
      <Field label={octets ? `Body, base64 of ${content.content_type}` : `Body, ${content.content_type}`}>
        <textarea class="input" rows={10} value={text} spellcheck={false} onInput={(e) => setText(e.currentTarget.value)} aria-invalid={wrong !== ""} readOnly={!letter.resendable} />
      </Field>
      {wrong && <div class="alert" role="alert"><p>{wrong}</p></div>}
      {fault && <FaultNote fault={fault} />}
      {settled && <Outcome settled={settled} />}
      {letter.resendable ? (
        <div class="row">
          <button type="submit" class="button main-action" disabled={busy}>{text === first ? "Send once more" : "Send corrected"}</button>
          {text !== first && <button type="button" class="button" onClick={() => setText(first)}>Undo changes</button>}
        </div>
      ) : <p class="quiet">This node keeps no store, so the letter cannot be sent again from here.</p>}
    </form>
  );
}

