// What the whole console follows of the node: its state, its figures each second, and what
// has changed. Nothing here grows: figures are a ring of the last quarter of an hour.
import type { Overview, Point } from "./api";
import { asFault, call, type Fault } from "./client";
import { type Standing, Stream } from "./stream";
import { Value } from "./value";

const POINTS_MAX = 900;
const OVERVIEW_MS = 5_000;

export const overview = new Value<Overview | null>(null);
export const points = new Value<readonly Point[]>([]);
export const standing = new Value<Standing>("opening");
export const trouble = new Value<Fault | null>(null);

const changes = new Map<string, Value<number>>();

/** Counts the changes of a kind of thing: agents, approvals, letters, policy, recovery. */
export function changed(what: string): Value<number> {
  let value = changes.get(what);
  if (value === undefined) changes.set(what, (value = new Value(0)));
  return value;
}

async function look(): Promise<void> {
  try {
    overview.set(await call("GET /v1/overview", {}));
    trouble.set(null);
  } catch (thrown) {
    trouble.set(asFault(thrown));
  }
}

async function fill(): Promise<void> {
  try {
    points.set((await call("GET /v1/series", {})).points.slice(-POINTS_MAX));
  } catch (thrown) {
    trouble.set(asFault(thrown));
  }
}

/** Follows the node until the returned function is called. */
export function follow(): () => void {
  const stream = new Stream("/v1/events", {
    on: {
      point: (data) => points.set([...points.now.slice(1 - POINTS_MAX), data as Point]),
      changed: (data) => {
        const value = changed((data as { what: string }).what);
        value.set(value.now + 1);
        void look();
      },
    },
    standing: (now) => {
      if (now === "live") {
        // What happened while nothing was heard is asked for.
        void look();
        void fill();
        for (const value of changes.values()) value.set(value.now + 1);
      }
      standing.set(now);
    },
  });
  void look();
  const timer = window.setInterval(() => { if (!document.hidden) void look(); }, OVERVIEW_MS);
  return () => {
    clearInterval(timer);
    stream.close();
    overview.set(null);
    points.set([]);
    trouble.set(null);
  };
}
