// Policy: what is in force, what it decided of late and by which rules, what it would decide,
// and what differs between two revisions.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { DecisionRow, Diff, Explained, Question, RuleRow } from "../api";
import { asFault, call, type Fault } from "../client";
import { useLoad } from "../load";
import { type Column, Grid } from "../parts/grid";
import { Status, Word } from "../parts/mark";
import { Busy, Empty, FaultNote } from "../parts/note";
import { Card, Code, Facts, Field, MessageLink, Time } from "../parts/show";
import { address } from "../route";
import { clock, number } from "../words";
import { WhyCard } from "./why";

const TABS = [["", "In force"], ["decisions", "Decisions"], ["what-if", "What-if"], ["revisions", "Revisions"]] as const;
const ACTIONS = ["publish", "request", "reply", "connect", "subscribe", "cooldown", "release"] as const;
const LIMIT = 200;

export function Policy({ argument, query }: { argument: string; query: URLSearchParams }): JSX.Element {
  return (
    <div class={`stack ${argument === "decisions" ? "fill" : "loose"}`}>
      <div class="head"><h1>Policy</h1><p>What may be done, and why.</p></div>
      <nav class="tabs" aria-label="Policy">
        {TABS.map(([place, name]) => <a key={place} href={address("policy", place)} aria-current={argument === place ? "page" : undefined}>{name}</a>)}
      </nav>
      {argument === "decisions" ? <Decisions query={query} /> : argument === "what-if" ? <WhatIf query={query} /> : argument === "revisions" ? <Revisions query={query} /> : <InForce />}
    </div>
  );
}

function InForce(): JSX.Element {
  const loaded = useLoad((signal) => call("GET /v1/policy", {}, { signal }), [], { follows: "policy" });
  const [shown, show] = useState("");
  const policy = loaded.data;
  if (policy === null) return loaded.fault ? <FaultNote fault={loaded.fault} again={loaded.again} /> : <Busy what="the policy" />;
  const module = policy.modules.find((m) => m.name === shown) ?? policy.modules[0];
  return (
    <div class="stack loose">
      <div class="two">
        <Card title="In force"><div class="inner"><Facts facts={[
          ["Revision", <span class="id">{policy.revision}</span>], ["Declared", policy.declared || "–"], ["Engine", policy.engine], ["Rules", policy.built_in ? "built in" : "your own"],
          ["Loaded", <Time time={policy.loaded} />], ["Agents in data", policy.data_agents === null ? "shown to admins" : number(policy.data_agents)],
          ["Can be changed here", policy.writable ? "yes, with PUT /v1/policy" : policy.why_not || "no"],
        ]} /></div></Card>
        <Card title={`Rules (${number(policy.rules.length)})`}>
          {policy.rules.length === 0 ? <p class="inner quiet">The rules are kept by another server.</p> : <Rules rules={policy.rules} />}
        </Card>
      </div>
      {module && (
        <Card title="Modules" aside={
          <select class="input narrow-input" aria-label="Module" value={module.name} onChange={(e) => show(e.currentTarget.value)}>
            {policy.modules.map((m) => <option key={m.name}>{m.name}</option>)}
          </select>}
        ><Code text={module.text} name={`Module ${module.name}`} /></Card>
      )}
    </div>
  );
}

function Rules({ rules }: { rules: readonly RuleRow[] }): JSX.Element {
  return (
    <div class="inner scrolls" tabIndex={0} role="region" aria-label="Rules">
      <ul class="rules">
        {rules.map((rule) => <li key={`${rule.file}:${rule.line}`}><span class="mono">{rule.rule}</span> <span class="quiet">{rule.kind} · <span class="mono">{rule.file}:{rule.line}</span></span></li>)}
      </ul>
    </div>
  );
}

const COLUMNS: readonly Column<DecisionRow>[] = [
  { key: "time", title: "Time", width: "98px", cell: (d) => <time class="mono" title={d.time}>{clock(d.time)}</time>, narrow: "more" },
  { key: "outcome", title: "Ending", width: "108px", cell: (d) => <Word word={d.outcome} />, narrow: "side" },
  { key: "agent", title: "Agent", width: "minmax(90px, 1fr)", cell: (d) => <span class="mono">{d.agent}</span>, narrow: "more" },
  { key: "action", title: "Action", width: "80px", from: 860, cell: (d) => d.action ?? <span class="quiet">–</span> },
  { key: "subject", title: "Subject", width: "minmax(120px, 1.5fr)", cell: (d) => <span class="mono">{d.subject}</span>, narrow: "first" },
  { key: "reasons", title: "Reasons", width: "minmax(120px, 2fr)", cell: (d) => <span title={d.reasons.join("; ")}>{d.reasons.join("; ")}</span>, narrow: "give" },
  { key: "id", title: "Message", width: "122px", cell: (d) => <MessageLink id={d.message_id} /> },
];

function Decisions({ query }: { query: URLSearchParams }): JSX.Element {
  const filters = { agent: query.get("agent") ?? "", reason: query.get("reason") ?? "", allow: query.get("allow") ?? "" };
  const loaded = useLoad(
    (signal) => call("GET /v1/policy/decisions", { limit: LIMIT, agent: filters.agent, reason: filters.reason, ...(filters.allow ? { allow: filters.allow === "true" } : {}) }, { signal }),
    [filters.agent, filters.reason, filters.allow], { everyMs: 5_000 },
  );
  const rows = loaded.data?.items ?? [];
  function apply(event: Event): void {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    location.hash = address("policy", "decisions", { agent: String(form.get("agent") ?? ""), reason: String(form.get("reason") ?? ""), allow: String(form.get("allow") ?? "") });
  }
  return (
    <>
      <form class="bar" onSubmit={apply} key={JSON.stringify(filters)}>
        <Field label="Agent" wide><input class="input mono" name="agent" data-filter defaultValue={filters.agent} placeholder="any" autocomplete="off" /></Field>
        <Field label="Reason has" wide><input class="input" name="reason" defaultValue={filters.reason} placeholder="any" autocomplete="off" /></Field>
        <Field label="Ending">
          <select class="input" name="allow">
            {[["", "any"], ["true", "allowed"], ["false", "not allowed"]].map(([value, name]) => <option key={value} value={value} selected={value === filters.allow}>{name}</option>)}
          </select>
        </Field>
        <button type="submit" class="button">Show</button>
      </form>
      {loaded.fault && <FaultNote fault={loaded.fault} again={loaded.again} />}
      {(loaded.data?.reasons.length ?? 0) > 0 && (
        <Card title="Denied or held, by reason">
          <ul class="inner row">
            {loaded.data?.reasons.slice(0, 8).map((r) => <li key={r.reason}><a href={address("policy", "decisions", { reason: r.reason })}>{r.reason}</a> <b class="number">{number(r.count)}</b></li>)}
          </ul>
        </Card>
      )}
      <Grid
        name="Decisions of late" columns={COLUMNS} count={rows.length} at={(i) => rows[i]} id={(d) => `${d.message_id} ${d.time} ${d.outcome} ${d.agent}`}
        open={(d) => { if (d.message_id) location.hash = address("message", d.message_id); }}
        empty={loaded.data === null ? <div class="note">{loaded.loading && <Busy what="decisions" />}</div>
          : <Empty icon="policy" title="No decision matches."><p>Decisions appear as agents publish, ask and subscribe. Without filters, all of late are shown.</p></Empty>}
        foot={<span>the last {number(rows.length)}, newest first</span>}
      />
    </>
  );
}

function WhatIf({ query }: { query: URLSearchParams }): JSX.Element {
  const [answer, setAnswer] = useState<Explained | null>(null);
  const [fault, setFault] = useState<Fault | null>(null);
  const [busy, setBusy] = useState(false);
  const revisions = useLoad((signal) => call("GET /v1/policy/revisions", {}, { signal }), [], { follows: "policy" });
  async function ask(event: Event): Promise<void> {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const read = (name: string): string => String(form.get(name) ?? "").trim();
    const action = ACTIONS.find((word) => word === read("action")) ?? "publish";
    const question: Question = { agent: read("agent"), action, subject: read("subject"), revision: read("revision"), depth: Number(read("depth")) || 0, size: Number(read("size")) || 0, priority: Number(read("priority")) || 0 };
    if (read("type") !== "") question.type = read("type");
    if (read("author") !== "") { question.author = read("author"); question.authors = [read("author")]; }
    setBusy(true);
    setFault(null);
    try {
      setAnswer(await call("POST /v1/policy/evaluate", question));
    } catch (thrown) {
      setAnswer(null);
      setFault(asFault(thrown));
    }
    setBusy(false);
  }
  return (
    <div class="two">
      <Card title="What if">
        <form class="inner stack" onSubmit={(event) => void ask(event)}>
          <p class="quiet">Policy is asked as if it happened now. Nothing is sent, and nothing is recorded of an agent.</p>
          <Field label="Agent"><input class="input mono" name="agent" data-filter required defaultValue={query.get("agent") ?? ""} spellcheck={false} autocomplete="off" /></Field>
          <Field label="Action"><select class="input" name="action">{ACTIONS.map((word) => <option key={word}>{word}</option>)}</select></Field>
          <Field label="Subject, or pattern of a subscription"><input class="input mono" name="subject" defaultValue={query.get("subject") ?? ""} spellcheck={false} autocomplete="off" /></Field>
          <div class="three">
            <Field label="Type"><input class="input mono" name="type" defaultValue="event" autocomplete="off" /></Field>
            <Field label="Size, bytes"><input class="input number" name="size" inputMode="numeric" defaultValue="2" autocomplete="off" /></Field>
            <Field label="Depth"><input class="input number" name="depth" inputMode="numeric" defaultValue="0" autocomplete="off" /></Field>
          </div>
          <div class="three">
            <Field label="Priority"><input class="input number" name="priority" inputMode="numeric" defaultValue="1" autocomplete="off" /></Field>
            <Field label="Author of what is released"><input class="input mono" name="author" autocomplete="off" spellcheck={false} /></Field>
            <Field label="Under revision">
              <select class="input" name="revision">
                <option value="">in force</option>
                {revisions.data?.items.filter((r) => !r.current).map((r) => <option key={r.revision} value={r.revision}>{r.declared || r.revision.slice(0, 12)}</option>)}
              </select>
            </Field>
          </div>
          <div class="row"><button type="submit" class="button main-action" disabled={busy}>Ask policy</button></div>
        </form>
      </Card>
      <div class="stack" aria-live="polite">
        {fault && <FaultNote fault={fault} />}
        {answer ? <WhyCard title={answer.allow ? "It would be allowed" : "It would be denied"} why={answer} />
          : !fault && <section class="card"><Empty icon="policy" title="Ask, and the answer stands here."><p>With the rules that it rests on and the input they read.</p></Empty></section>}
      </div>
    </div>
  );
}

function Revisions({ query }: { query: URLSearchParams }): JSX.Element {
  const loaded = useLoad((signal) => call("GET /v1/policy/revisions", {}, { signal }), [], { follows: "policy" });
  const items = loaded.data?.items ?? [];
  const from = query.get("from") ?? items[1]?.revision ?? "";
  const to = query.get("to") ?? items[0]?.revision ?? "";
  if (loaded.data === null) return loaded.fault ? <FaultNote fault={loaded.fault} again={loaded.again} /> : <Busy what="revisions" />;
  const choose = (change: Record<string, string>): void => { location.hash = address("policy", "revisions", { from, to, ...change }); };
  return (
    <div class="stack loose">
      <Card title="Revisions of this run">
        <ul class="inner rules">
          {items.map((r) => (
            <li key={r.revision} class="row">
              <Status tone={r.current ? "good" : "plain"}>{r.current ? "in force" : "before"}</Status>
              <span class="id wrap">{r.revision}</span>
              <span class="quiet">{r.declared && `${r.declared} · `}since <Time time={r.since} />{r.by && <> · by <span class="mono">{r.by}</span></>} · {number(r.modules)} modules</span>
            </li>
          ))}
        </ul>
      </Card>
      {items.length < 2 ? (
        <section class="card"><Empty icon="policy" title="Nothing to compare yet."><p>When another policy is put in force while this node runs, the two are compared here line by line.</p></Empty></section>
      ) : (
        <>
          <div class="bar">
            {([["From", "from", from], ["To", "to", to]] as const).map(([label, key, value]) => (
              <Field label={label} key={key} wide>
                <select class="input mono" value={value} onChange={(e) => choose({ [key]: e.currentTarget.value })}>
                  {items.map((r) => <option key={r.revision} value={r.revision} selected={r.revision === value}>{r.declared ? `${r.declared} · ` : ""}{r.revision.slice(0, 19)}</option>)}
                </select>
              </Field>
            ))}
          </div>
          {from && to && <Compared from={from} to={to} key={`${from} ${to}`} />}
        </>
      )}
    </div>
  );
}

const kindOf = (line: string): string =>
  line.startsWith("@@") || line.startsWith("+++") || line.startsWith("---") ? "place" : line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : "";

function Compared({ from, to }: { from: string; to: string }): JSX.Element {
  const loaded = useLoad<Diff>((signal) => call("POST /v1/policy/diff", { from, to }, { signal }), [from, to]);
  if (loaded.data === null) return loaded.fault ? <FaultNote fault={loaded.fault} again={loaded.again} /> : <Busy what="the difference" />;
  const { files, data_compared } = loaded.data;
  return (
    <div class="stack">
      {files.length === 0 && <section class="card"><Empty icon="policy" title="They do not differ."><p>{data_compared ? "Neither in rules nor in data." : "Not in their rules. Data are compared for admins."}</p></Empty></section>}
      {files.map((file) => (
        <Card key={file.name} title={file.name} aside={<span class="quiet">{file.change}{file.cut ? ", cut" : ""}</span>}>
          <ol class="diff" tabIndex={0} aria-label={`Difference of ${file.name}`}>
            {file.lines.map((line, index) => <li key={index} class={kindOf(line)}>{line || " "}</li>)}
          </ol>
        </Card>
      ))}
      {files.length > 0 && !data_compared && <p class="quiet">Data are compared for admins only.</p>}
    </div>
  );
}
