// The fleet: every agent, how it does, what waits for it, and the orders that stop one.
import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { AgentRow } from "../api";
import { call, session } from "../client";
import { everyPage, useLoad } from "../load";
import { changed, overview, points } from "../node";
import { OrderDialog } from "../parts/dialog";
import { type Column, Grid, useSorted } from "../parts/grid";
import { Word } from "../parts/mark";
import { Busy, Empty, FaultNote } from "../parts/note";
import { type Line, Plot } from "../parts/plot";
import { Detail as Panel, Facts, Field, Time } from "../parts/show";
import { address } from "../route";
import { useValue } from "../value";
import { bytes, compact, micros, number, rate } from "../words";

const AGENTS_MAX = 20_000;
const PAGE = 1_000;
const FEW = 1_000;
const NONE: readonly AgentRow[] = [];

const RATES: readonly Line[] = [
  { name: "accepted", of: (p) => p.accepted, write: (v) => rate(v ?? 0) },
  { name: "delivered", of: (p) => p.delivered, write: (v) => rate(v ?? 0) },
  { name: "denied", of: (p) => p.denied, write: (v) => rate(v ?? 0) },
  { name: "failed", of: (p) => p.failed, write: (v) => rate(v ?? 0) },
];
const LATENCIES: readonly Line[] = [
  { name: "p50", of: (p) => p.p50_us, write: micros },
  { name: "p99", of: (p) => p.p99_us, write: micros },
];

const COLUMNS: readonly Column<AgentRow>[] = [
  { key: "name", title: "Agent", width: "minmax(150px, 2fr)", cell: (a) => <span class="mono">{a.name}</span>, by: (a) => a.name, narrow: "first" },
  { key: "health", title: "Health", width: "118px", cell: (a) => <Word word={a.health} />, by: (a) => a.health, narrow: "side" },
  { key: "tenant", title: "Tenant", width: "minmax(60px, 0.8fr)", from: 900, cell: (a) => a.tenant, by: (a) => a.tenant },
  { key: "roles", title: "Roles", width: "minmax(80px, 1.2fr)", from: 760, cell: (a) => a.roles.join(", "), by: (a) => a.roles.join(), narrow: "give" },
  { key: "published", title: "Published", width: "74px", from: 560, number: true, cell: (a) => compact(a.published), by: (a) => a.published, narrow: "more", label: "out" },
  { key: "delivered", title: "Delivered", width: "74px", from: 640, number: true, cell: (a) => compact(a.delivered), by: (a) => a.delivered, narrow: "more", label: "in" },
  { key: "denied", title: "Denied", width: "56px", number: true, cell: (a) => compact(a.denied), by: (a) => a.denied, narrow: "more", label: "denied" },
  { key: "queued", title: "Queued", width: "60px", number: true, cell: (a) => compact(a.queued), by: (a) => a.queued, narrow: "more", label: "queued" },
  { key: "in_flight", title: "In flight", width: "60px", from: 820, number: true, cell: (a) => compact(a.in_flight), by: (a) => a.in_flight },
  { key: "spend", title: "Spend", width: "72px", from: 960, number: true, cell: (a) => bytes(a.spend.body_bytes), by: (a) => a.spend.body_bytes },
];

type Ordered = { verb: "quarantine" | "kill" | "release"; agent: AgentRow };

export function Fleet({ argument, query }: { argument: string; query: URLSearchParams }): JSX.Element {
  const total = useValue(overview)?.agents ?? 0;
  const loaded = useLoad(
    (signal) => everyPage((after) => call("GET /v1/agents", { limit: PAGE, ...(after ? { after } : {}) }, { signal }), AGENTS_MAX),
    [],
    { follows: "agents", everyMs: total > FEW ? 30_000 : 3_000 },
  );
  const [text, setText] = useState(query.get("q") ?? "");
  const [health, setHealth] = useState(query.get("health") ?? "");
  const [order, setOrder] = useState<Ordered | null>(null);
  const items = loaded.data?.items ?? NONE;
  const words = useMemo(() => items.map((agent) => `${agent.name} ${agent.tenant} ${agent.roles.join(" ")}`.toLowerCase()), [items]);
  const matching = useMemo(() => {
    const wanted = text.trim().toLowerCase();
    return items.filter((agent, index) => (health === "" || agent.health === health)
      && (wanted === "" || words[index]?.includes(wanted)));
  }, [items, words, text, health]);
  const { rows, order: sorting, sort } = useSorted(matching, COLUMNS, { key: "name", down: false });
  const chosen = items.find((agent) => agent.name === argument);
  const open = (agent: AgentRow): void => { location.hash = address("fleet", agent.name === argument ? "" : agent.name); };

  return (
    <div class="stack loose fill fleet">
      <div class="head"><h1>Fleet</h1><p>Every agent that policy knows, and what it does now.</p></div>
      <Tiles />
      <Plots />
      {loaded.fault && <FaultNote fault={loaded.fault} again={loaded.again} />}
      <div class="bar">
        <Field label="Find an agent" wide>
          <input class="input" data-filter type="search" value={text} placeholder="name, tenant or role" onInput={(e) => setText(e.currentTarget.value)} />
        </Field>
        <Field label="Health">
          <select class="input" value={health} onChange={(e) => setHealth(e.currentTarget.value)}>
            <option value="">any</option>
            {["ok", "idle", "slow", "quarantined", "disabled"].map((word) => <option key={word}>{word}</option>)}
          </select>
        </Field>
      </div>
      <div class={`split${argument ? " open" : ""}`}>
        <Grid
          name="Agents" columns={COLUMNS} count={rows.length} at={(i) => rows[i]} id={(a) => `${a.tenant}/${a.name}`}
          open={open} chosen={chosen ? `${chosen.tenant}/${chosen.name}` : null} order={sorting} sort={sort}
          empty={loaded.data === null
            ? <div class="note">{loaded.loading && <Busy what="agents" />}</div>
            : items.length > 0
              ? <Empty icon="fleet" title="No agent matches."><p>Clear the filter to see all {number(items.length)}.</p><button type="button" class="button" onClick={() => { setText(""); setHealth(""); }}>Clear the filter</button></Empty>
              : <Empty icon="fleet" title="No agent yet."><p>Agents are those that policy data name. Add one there, reload the policy, and give it a credential with <code>assent token create NAME</code>.</p></Empty>}
          foot={<span>{number(rows.length)} of {number(items.length)} agents{loaded.data?.cut ? `, the first ${number(AGENTS_MAX)} only` : ""}</span>}
        />
        {argument && <Detail name={argument} agent={chosen} order={setOrder} known={loaded.data !== null} />}
      </div>
      {order && <Order ordered={order} close={() => setOrder(null)} done={loaded.again} />}
    </div>
  );
}

function Tiles(): JSX.Element {
  const now = useValue(overview);
  const last = useValue(points).at(-1);
  const tiles: [string, string, string][] = [
    ["Accepted", last ? rate(last.accepted) : "–", "/s"],
    ["Delivered", last ? rate(last.delivered) : "–", "/s"],
    ["Denied", last ? rate(last.denied) : "–", "/s"],
    ["Queued", now ? compact(now.queued) : "–", ""],
    ["In flight", now ? compact(now.in_flight) : "–", ""],
    ["Held", now ? compact(now.held) : "–", ""],
    ["Dead letters", now ? compact(now.dead_letters) : "–", ""],
    ["Quarantined", now ? compact(now.quarantined) : "–", ""],
  ];
  return (
    <dl class="tiles">
      {tiles.map(([name, value, unit]) => <div class="tile" key={name}><dt>{name}</dt><dd>{value}{unit && <small> {unit}</small>}</dd></div>)}
    </dl>
  );
}

function Plots(): JSX.Element {
  const shown = useValue(points);
  return (
    <div class="plots">
      <Plot title="Messages / s" lines={RATES} points={shown} axis={(v) => (v % 1 === 0 ? compact(v) : "")} />
      <Plot title="Publish to end" lines={LATENCIES} points={shown} axis={(v) => micros(v)} />
    </div>
  );
}

function Detail({ name, agent, order, known }: { name: string; agent: AgentRow | undefined; order: (o: Ordered) => void; known: boolean }): JSX.Element {
  return (
    <Panel name={`Agent ${name}`} title={name} back={address("fleet")} ready={agent !== undefined}>
      {agent === undefined ? <div class="inner quiet">{known ? "Policy data know no agent of this name." : <Busy what="the agent" />}</div> : (
        <div class="inner stack loose">
          <Word word={agent.health} badge />
          {agent.quarantine && (
            <Facts facts={[["In quarantine by", agent.quarantine.by], ["Since", <Time time={agent.quarantine.since} />], ["Reason", agent.quarantine.reason]]} />
          )}
          <Facts facts={[
            ["Tenant", agent.tenant], ["Roles", agent.roles.join(", ") || "none"],
            ["Connections", number(agent.connections)], ["Subscriptions", number(agent.subscriptions)],
            ["Published", number(agent.published)], ["Delivered to it", number(agent.delivered)], ["Denied", number(agent.denied)],
            ["Queued", number(agent.queued)], ["In flight", number(agent.in_flight)],
            ["Spend", `${number(agent.spend.events)} events, ${bytes(agent.spend.body_bytes)}`],
          ]} />
          <div class="row">
            <a class="button" href={address("live", "", { sender: agent.name })}>Live</a>
            <a class="button" href={address("audit", "", { agent: agent.name })}>Audit</a>
            <a class="button" href={address("policy", "what-if", { agent: agent.name })}>What-if</a>
          </div>
          <div class="row">
            {agent.quarantine
              ? <button type="button" class="button" onClick={() => order({ verb: "release", agent })}>End quarantine</button>
              : <button type="button" class="button danger" onClick={() => order({ verb: "quarantine", agent })}>Quarantine</button>}
            <button type="button" class="button danger" onClick={() => order({ verb: "kill", agent })}>Kill</button>
          </div>
        </div>
      )}
    </Panel>
  );
}

const SAYS = {
  quarantine: "It may neither publish nor receive until somebody ends the quarantine, a restart included. What waits for it is kept.",
  kill: "It is put in quarantine, all its credentials are revoked, and its connections are closed. New credentials have to be made before it can come back.",
  release: "It may publish and receive again, as policy says. Credentials that were revoked stay revoked.",
};
const VERBS = { quarantine: "Quarantine", kill: "Kill", release: "End quarantine" };

function Order({ ordered, close, done }: { ordered: Ordered; close: () => void; done: () => void }): JSX.Element {
  const { verb, agent } = ordered;
  async function run(reason: string, confirm: string): Promise<void> {
    if (verb === "release") await call("POST /v1/agents/{name}/release", { name: agent.name, reason });
    else await call(verb === "kill" ? "POST /v1/agents/{name}/kill" : "POST /v1/agents/{name}/quarantine", { name: agent.name, reason, confirm });
    const agents = changed("agents");
    agents.set(agents.now + 1);
    done();
  }
  const own = agent.name === session.now?.agent ? " This is the agent you are signed in as: you will be signed out." : "";
  return (
    <OrderDialog
      title={`${VERBS[verb]}: ${agent.name}`} says={SAYS[verb] + (verb === "kill" ? own : "")} verb={VERBS[verb]}
      {...(verb === "release" ? {} : { confirm: agent.name, danger: true })} run={run} close={close}
    />
  );
}
