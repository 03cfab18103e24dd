// One message: what became of it step by step, what it says, where it comes from, and why
// policy decided as it did.
import type { JSX } from "preact";
import { type Answers, asFault, call, type Fault } from "../client";
import { useLoad } from "../load";
import { Shape, Status, toneOf, Word } from "../parts/mark";
import { Busy, Empty, FaultNote } from "../parts/note";
import { bodyText, Card, Code, Copy, Facts, Field, MessageLink, Time } from "../parts/show";
import { address } from "../route";
import { between, brief, clock, many, micros, number } from "../words";
import { WhyCard } from "./why";

export function Message({ argument }: { argument: string }): JSX.Element {
  return (
    <div class="stack loose">
      <div class="head"><h1>Message</h1>{argument && <><code class="wrap">{argument}</code><Copy text={argument} what="the id" /></>}</div>
      <Find id={argument} />
      {argument ? <One id={argument} key={argument} /> : (
        <section class="card"><Empty icon="message" title="Which message?">
          <p>Give the id that a publisher got back, or choose a row of <a href={address("live")}>Live</a>, <a href={address("audit")}>Audit</a> or <a href={address("letters")}>Dead letters</a>.</p>
        </Empty></section>
      )}
    </div>
  );
}

function Find({ id }: { id: string }): JSX.Element {
  function go(event: Event): void {
    event.preventDefault();
    const wanted = String(new FormData(event.currentTarget as HTMLFormElement).get("id") ?? "").trim();
    location.hash = address("message", wanted);
  }
  return (
    <form class="bar" onSubmit={go} key={id}>
      <Field label="Message id" wide><input class="input mono" name="id" data-filter defaultValue={id} placeholder="32 hex digits" spellcheck={false} autocomplete="off" /></Field>
      <button type="submit" class="button">Show</button>
    </form>
  );
}

function One({ id }: { id: string }): JSX.Element {
  // Not every part is kept as long as the others: what is there is shown, the rest says why not.
  const message = useLoad((signal) => call("GET /v1/messages/{id}", { id }, { signal }), [id]);
  const timeline = useLoad((signal) => call("GET /v1/messages/{id}/timeline", { id }, { signal }), [id], { everyMs: 4_000 });
  const tree = useLoad((signal) => call("GET /v1/messages/{id}/tree", { id }, { signal }), [id]);
  const why = useLoad((signal) => call("GET /v1/messages/{id}/why", { id }, { signal }), [id]);
  const faults = [message, timeline, tree, why].map((part) => part.fault);
  if (faults.every((fault) => fault?.status === 404)) {
    return <section class="card"><Empty icon="message" title="The node knows no such message."><p>It was never sent, belongs to another tenant, or is kept no longer. The audit record keeps what became of it.</p><a class="button" href={address("audit", "", { id })}>Look in the audit record</a></Empty></section>;
  }
  return (
    <div class="two">
      <div class="stack loose">
        <Timeline loaded={timeline} />
        <Part title="Body" loaded={message}>{(m) => (
          <Card title="Body" aside={<span class="row"><span class="quiet">{m.content_type}</span><Copy text={bodyText(m)} what="the body" /></span>}>
            <Code text={bodyText(m)} name="Body" />
          </Card>
        )}</Part>
      </div>
      <div class="stack loose">
        <Part title="Envelope" loaded={message}>{(m) => (
          <Card title="Envelope"><div class="inner"><Facts facts={[
            ["Subject", <span class="mono">{m.subject}</span>], ["Type", m.type], ["Sender", <a class="mono" href={address("fleet", m.sender)}>{m.sender}</a>], ["Tenant", m.tenant],
            ["Priority", String(m.priority)], ["Created", <Time time={m.created} />], ["Expires", m.expires === undefined ? <span class="quiet">never</span> : <Time time={m.expires} />],
            ["Kept", m.status === "held" ? "held for approval" : m.stream === undefined ? "in memory" : `number ${number(m.sequence ?? 0)} of stream ${m.stream}`],
            ["Authors", m.authors.join(", ") || <span class="quiet">the sender alone</span>], ["Depth", String(m.depth)],
            ["Root", <MessageLink id={m.root} />], ["Parent", <MessageLink id={m.parent} />],
            ["Reply to", m.reply_to ? <span class="mono">{m.reply_to}</span> : <span class="quiet">nobody</span>],
            ["Decided under", <span class="id">{m.decision.revision}</span>],
            ["Headers", Object.keys(m.headers).length === 0 ? <span class="quiet">none</span> : (
              <dl class="facts">{Object.entries(m.headers).map(([name, value]) => [<dt class="mono" key={`${name}-t`}>{name}</dt>, <dd class="mono" key={`${name}-d`}>{value}</dd>])}</dl>
            )],
          ]} /></div></Card>
        )}</Part>
        {why.data ? <WhyCard title={why.data.allow ? "Why allowed" : "Why denied"} why={why.data} /> : <Part title="Why" loaded={why}>{() => <></>}</Part>}
        <Part title="Lineage" loaded={tree}>{(t) => (
          <Card title="Lineage" aside={<span class="quiet">{many(t.messages, "message")}{t.truncated ? ", and perhaps more" : ""}</span>}>
            <nav class="inner tree" aria-label="Lineage"><ul><Branch node={t.root} here={id} /></ul></nav>
          </Card>
        )}</Part>
      </div>
    </div>
  );
}

function Part<T>({ title, loaded, children }: { title: string; loaded: { data: T | null; fault: Fault | null; again: () => void }; children: (data: T) => JSX.Element }): JSX.Element {
  if (loaded.data !== null) return children(loaded.data);
  return (
    <Card title={title}>
      <div class="inner">
        {loaded.fault === null ? <Busy what={title.toLowerCase()} />
          : loaded.fault.status === 404 ? <p class="quiet">Kept no longer, or never kept: {loaded.fault.detail}</p>
          : <FaultNote fault={asFault(loaded.fault)} again={loaded.again} />}
      </div>
    </Card>
  );
}

type Loaded<K> = { data: K | null; fault: Fault | null; again: () => void };

type Happened = Answers<"GET /v1/messages/{id}/timeline">;
type Leaf = Answers<"GET /v1/messages/{id}/tree">["root"];

function Timeline({ loaded }: { loaded: Loaded<Happened> }): JSX.Element {
  return (
    <Part title="Timeline" loaded={loaded}>{({ items, status, pending, truncated }) => (
      <Card title="Timeline" aside={<Word word={status} badge />}>
        <ol class="inner times">
          {items.map((item, index) => {
            const before = items[index - 1];
            return (
              <li key={`${item.time} ${index}`} class={`status-line ${toneOf(item.event)}`}>
                <span class={`status ${toneOf(item.event)}`}><Shape tone={toneOf(item.event)} /></span>
                <span class="what">{item.event.replaceAll("_", " ")}{item.agent && <span class="quiet"> · <span class="mono">{item.agent}</span></span>}</span>
                <time class="when" title={item.time}>{before ? `+${micros(Math.max(0, between(before.time, item.time)))}` : clock(item.time)}</time>
                {item.detail && <span class="more">{item.detail}</span>}
              </li>
            );
          })}
          {pending.map((one) => (
            <li key={`${one.consumer} ${one.agent}`}>
              <span class="status held"><Shape tone="held" /></span>
              <span class="what">{one.state.replaceAll("_", " ")}<span class="quiet"> · <span class="mono">{one.agent}</span></span></span>
              <span class="when">attempt {one.attempt}</span>
              <span class="more">for consumer <span class="mono">{one.consumer}</span></span>
            </li>
          ))}
        </ol>
        {truncated && <p class="inner"><Status tone="warn">More may have happened than could be looked through.</Status></p>}
      </Card>
    )}</Part>
  );
}

function Branch({ node, here }: { node: Leaf; here: string }): JSX.Element {
  return (
    <li>
      <div class={node.id === here ? "here" : ""}>
        <Word word={node.outcome} />
        <a class="mono" href={address("message", node.id)} aria-current={node.id === here ? "true" : undefined}>{node.subject}</a>
        <span class="quiet"><span class="mono">{node.sender}</span> · {clock(node.time)} · <span class="id">{brief(node.id)}</span></span>
      </div>
      {node.children.length > 0 && <ul>{node.children.map((child) => <Branch key={child.id} node={child} here={here} />)}</ul>}
    </li>
  );
}

