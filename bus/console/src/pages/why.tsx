// A decision taken apart: the ending, the reasons, the rules it rests on, what they read.
import type { JSX } from "preact";
import type { Explained, FindingRow } from "../api";
import { Status, Word } from "../parts/mark";
import { Card, Code, Facts } from "../parts/show";
import { pretty } from "../words";

export function Verdict({ why }: { why: Explained }): JSX.Element {
  const ending = why.outcome ?? (why.allow ? "allow" : "deny");
  const decisive = why.rules.filter((rule) => rule.decided || rule.state === "failed");
  const others = why.rules.filter((rule) => !decisive.includes(rule));
  return (
    <div class="stack loose">
      <div class="row">
        {why.allow ? <Status tone="good" badge>Allowed</Status> : <Status tone="bad" badge>Denied</Status>}
        {why.outcome !== null && !["allow", "deny", "accepted", "denied"].includes(ending) && <Word word={ending} badge />}
        {why.reasons.map((reason) => <span key={reason} class="wrap">{reason}</span>)}
        {why.reasons.length === 0 && !why.allow && <span class="quiet">No rule allows it: what is not allowed is denied.</span>}
      </div>
      {why.same === false && <div class="alert warn" role="note"><p>The policy of now comes to another ending than the one this message met.</p></div>}
      {why.note !== "" && <p class="quiet">{why.note}</p>}
      <Facts facts={[
        ["Revision", <span class="id">{why.revision}</span>],
        ...(why.decided_under !== null ? [["Decided under", <span class="id">{why.decided_under}</span>] as const] : []),
        ...(why.obligations.length > 0 ? [["Obligations", <code>{JSON.stringify(why.obligations)}</code>] as const] : []),
      ]} />
      <section class="stack">
        <h3>Rules</h3>
        {why.rules.length === 0 ? <p class="quiet">The engine in force does not say which rules it used.</p> : (
          <>
            <RuleList rules={decisive} allow={why.allow} />
            {others.length > 0 && (
              <details>
                <summary>{others.length} more that it does not rest on</summary>
                <RuleList rules={others} allow={why.allow} />
              </details>
            )}
          </>
        )}
      </section>
      {why.input.length > 0 && (
        <section class="stack">
          <h3>Input that was read</h3>
          <Facts facts={why.input.map((row) => [row.name, row.there ? <code class="wrap">{pretty(row.value)}</code> : <span class="quiet">not there</span>] as const)} />
        </section>
      )}
      <details>
        <summary>All of the input</summary>
        <Code text={pretty(why.document)} name="All of the input" />
      </details>
    </div>
  );
}

function RuleList({ rules, allow }: { rules: readonly FindingRow[]; allow: boolean }): JSX.Element {
  return (
    <ul class="rules">
      {rules.map((rule) => (
        <li key={`${rule.file}:${rule.line}:${rule.rule}`}>
          <Status tone={rule.decided && rule.state === "held" ? (allow ? "good" : "bad") : rule.state === "failed" ? "warn" : "plain"}>
            <span class="mono">{rule.rule.replace(/^data\./, "")}</span>
          </Status>{" "}
          <span class="quiet">{rule.state} · <span class="mono">{rule.file}:{rule.line}</span>{rule.reasons.length > 0 ? ` · ${rule.reasons.join("; ")}` : ""}{rule.error ? ` · ${rule.error}` : ""}</span>
        </li>
      ))}
    </ul>
  );
}

export function WhyCard({ title, why }: { title: string; why: Explained }): JSX.Element {
  return <Card title={title}><div class="inner"><Verdict why={why} /></div></Card>;
}
