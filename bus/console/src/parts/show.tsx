// Small parts that show a value.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { brief, pretty, when } from "../words";
import { Icon } from "./mark";

export function MessageLink({ id }: { id: string | null | undefined }): JSX.Element {
  return id ? <a class="id" href={`#/message/${encodeURIComponent(id)}`} title={id} onClick={(e) => e.stopPropagation()}>{brief(id)}</a> : <span class="quiet">–</span>;
}

export function Time({ time }: { time: string | null | undefined }): JSX.Element {
  return <time class="number" dateTime={time ?? undefined} title={time ?? undefined}>{when(time)}</time>;
}

export function Copy({ text, what }: { text: string; what: string }): JSX.Element {
  const [said, say] = useState("");
  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      say("Select and copy by hand: the browser did not allow it");
    }
  }
  return (
    <button type="button" class="button bare" onClick={() => void copy()} aria-label={`Copy ${what}`}>
      <Icon name="copy" />
      <span role="status">{said || "Copy"}</span>
    </button>
  );
}

export function Facts({ facts }: { facts: readonly (readonly [string, ComponentChildren])[] }): JSX.Element {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => [<dt key={`${name}-t`}>{name}</dt>, <dd key={`${name}-d`}>{value ?? "–"}</dd>])}
    </dl>
  );
}

/** The side of a list that shows one of its rows; it comes into sight by itself. */
export function Detail({ name, title, back, ready, children }: { name: string; title: string; back: string; ready: boolean; children: ComponentChildren }): JSX.Element {
  const place = useRef<HTMLElement>(null);
  useEffect(() => place.current?.scrollIntoView({ block: "nearest" }), [name, ready]);
  return (
    <section class="card detail" aria-label={name} ref={place} tabIndex={-1}>
      <header><h2 class="mono wrap">{title}</h2><a class="button bare" href={back} aria-label="Close"><Icon name="close" /></a></header>
      {children}
    </section>
  );
}

export function Card({ title, aside, children }: { title: string; aside?: ComponentChildren; children: ComponentChildren }): JSX.Element {
  return (
    <section class="card">
      <header><h2>{title}</h2>{aside}</header>
      {children}
    </section>
  );
}

export interface Content { content_type?: string; size?: number; body?: unknown; body_base64?: string; left_out?: string }

/** The text of a body: JSON indented, anything else as base64, or why it is not there. */
export function bodyText(content: Content): string {
  if (content.left_out === "large") return "Too large to be shown in a list. Open the message to see it.";
  if (content.left_out) return `Left out: ${content.left_out}.`;
  if (content.body !== undefined) return pretty(content.body);
  return content.body_base64 ?? "";
}

export function Code({ text, name }: { text: string; name: string }): JSX.Element {
  return <pre class="code" tabIndex={0} role="region" aria-label={name}>{text}</pre>;
}

export function Field({ label, children, wide = false }: { label: string; children: ComponentChildren; wide?: boolean }): JSX.Element {
  return <label class={`field${wide ? " wide" : ""}`}><span>{label}</span>{children}</label>;
}
