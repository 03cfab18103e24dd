// Data of a page: asked for when it is shown, again when the node says that it changed, and
// never twice at once. What was there stays in sight while it is asked for again.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { asFault, Fault } from "./client";
import { changed } from "./node";

const PAUSE_MS = 400;

export interface Loaded<T> {
  data: T | null;
  fault: Fault | null;
  loading: boolean;
  again: () => void;
}

export function useLoad<T>(
  load: (signal: AbortSignal) => Promise<T>,
  on: readonly unknown[],
  options: { follows?: string; everyMs?: number } = {},
): Loaded<T> {
  const [state, set] = useState<Omit<Loaded<T>, "again">>({ data: null, fault: null, loading: true });
  const [turn, next] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  const again = useCallback(() => next((n) => n + 1), []);

  useEffect(() => set({ data: null, fault: null, loading: true }), on);
  useEffect(() => {
    const stop = new AbortController();
    set((was) => ({ ...was, loading: true }));
    latest.current(stop.signal).then(
      (data) => { if (!stop.signal.aborted) set({ data, fault: null, loading: false }); },
      (thrown: unknown) => {
        if (!stop.signal.aborted) set((was) => ({ data: was.data, fault: asFault(thrown), loading: false }));
      },
    );
    return () => stop.abort();
  }, [...on, turn]);
  useEffect(() => {
    if (options.follows === undefined) return undefined;
    let timer = 0;
    const stop = changed(options.follows).follow(() => {
      timer ||= window.setTimeout(() => { timer = 0; again(); }, PAUSE_MS);
    });
    return () => { clearTimeout(timer); stop(); };
  }, [options.follows]);
  useEffect(() => {
    if (options.everyMs === undefined) return undefined;
    const timer = window.setInterval(() => { if (!document.hidden) again(); }, options.everyMs);
    return () => clearInterval(timer);
  }, [options.everyMs]);
  useEffect(() => {
    const wait = state.fault?.status === 503 ? (state.fault.retryAfter ?? 5) * 1000 : 0;
    if (wait === 0) return undefined;
    const timer = window.setTimeout(again, wait);
    return () => clearTimeout(timer);
  }, [state.fault]);
  return { ...state, again };
}

/** Reads every page of a list, bounded, one after the other. */
export async function everyPage<T>(
  page: (after: string | null) => Promise<{ items: T[]; next?: string | null }>,
  most: number,
): Promise<{ items: T[]; cut: boolean }> {
  const items: T[] = [];
  let after: string | null = null;
  do {
    const read: { items: T[]; next?: string | null } = await page(after);
    items.push(...read.items);
    after = read.next ?? null;
  } while (after !== null && items.length < most);
  return { items, cut: after !== null };
}
