// Status: a shape, a word and a colour together, so that none of them is needed alone.
import type { ComponentChildren, JSX } from "preact";

export type Tone = "good" | "warn" | "bad" | "held" | "plain";

const SHAPES: Record<Tone, JSX.Element> = {
  good: <circle cx="6" cy="6" r="4.5" fill="currentColor" />,
  warn: <path d="M6 1 11.4 10.6H.6Z" fill="currentColor" />,
  bad: <path d="M3.6.8h4.8l2.8 2.8v4.8l-2.8 2.8H3.6L.8 8.400V3.600Z" fill="currentColor" />,
  held: <path d="M6 .6 11.400 6 6 11.400.600 6Z" fill="currentColor" />,
  plain: <circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="1.6" />,
};

export function Shape({ tone }: { tone: Tone }): JSX.Element {
  return <svg viewBox="0 0 12 12" aria-hidden="true">{SHAPES[tone]}</svg>;
}

export function Status({ tone, children, badge = false }: { tone: Tone; children: ComponentChildren; badge?: boolean }): JSX.Element {
  return (
    <span class={`status ${tone}${badge ? " badge" : ""}`}>
      <Shape tone={tone} />
      {children}
    </span>
  );
}

const TONES: Record<string, Tone> = {
  ok: "good", healthy: "good", accepted: "good", delivered: "good", acked: "good", released: "good", done: "good", closed: "good",
  allow: "good", running: "good", stored: "good", decided: "good", published: "good",
  slow: "warn", degraded: "warn", retry: "warn", nak: "warn", naked: "warn", dropped: "warn", expired: "warn", evicted: "warn",
  half_open: "warn", recalled: "warn", redelivered: "warn", delayed: "warn",
  quarantined: "bad", critical: "bad", denied: "bad", deny: "bad", rejected: "bad", failed: "bad", dead: "bad", refused: "bad", open: "bad", terminated: "bad",
  held: "held", waiting: "held", manual: "held",
};

/** The tone of a word that the node uses. One that is new is plain, and still read. */
export function toneOf(word: string): Tone {
  return TONES[word.toLowerCase()] ?? "plain";
}

export function Word({ word, badge = false }: { word: string; badge?: boolean }): JSX.Element {
  return <Status tone={toneOf(word)} badge={badge}>{word.replaceAll("_", " ")}</Status>;
}

const ICONS: Record<string, string> = {
  fleet: "M3 3h4v4H3zM9 3h4v4H9zM3 9h4v4H3zM9 9h4v4H9z",
  live: "M1.500 8h3l2-5 3 10 2-5h3",
  message: "M2 3.500h12v9H2zM2 4l6 5 6-5",
  approvals: "M2.500 8.500 6 12l7.500-8",
  letters: "M2 9h3.500l1 2h3l1-2H14M2 9l2-6h8l2 6v4H2z",
  streams: "M2 4h12M2 8h12M2 12h12M5 2.500v3M10 6.500v3M7 10.500v3",
  policy: "M8 1.500 13.500 4v4c0 3.500-2.500 5.500-5.500 6.500C5 13.500 2.500 11.500 2.500 8V4z",
  audit: "M4 1.500h6l3 3v10H4zM6.500 8h4M6.500 11h4",
  recovery: "M13 8a5 5 0 1 1-1.600-3.700M13 1.500v3.300H9.700",
  up: "M4 10l4-4 4 4", down: "M4 6l4 4 4-4",
  close: "M4 4l8 8M12 4l-8 8",
  menu: "M2 4h12M2 8h12M2 12h12",
  pause: "M5 3v10M11 3v10", play: "M4.500 3 12.500 8l-8 5z",
  copy: "M5.500 5.500h8v8h-8zM2.500 10.500v-8h8",
};

export function Icon({ name, big = false }: { name: string; big?: boolean }): JSX.Element {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true" class={big ? "big" : undefined}>
      <path d={ICONS[name]} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

export function Logo(): JSX.Element {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#0e5a6b" />
      <path d="M8 16.500 14 22 24.500 10" fill="none" stroke="#fff" stroke-width="3.400" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}
