// Server-sent events that come back by themselves. What is lost is shown, never hidden: a
// page that follows a stream knows whether it stands. A hidden tab follows nothing, so that
// many tabs do not use up the browser's connections to the node.
import { asFault, call, type Fault, session } from "./client";

export type Standing = "opening" | "live" | "lost" | "asleep";

const AGAIN_MS = 1_000;
const AGAIN_MS_MAX = 30_000;

export interface Hears {
  /** By event name: what to do with its data. */
  on: Record<string, (data: unknown) => void>;
  standing: (now: Standing, fault: Fault | null) => void;
}

export class Stream {
  private source: EventSource | null = null;
  private timer = 0;
  private wait = AGAIN_MS;
  private readonly seen = (): void => {
    if (document.hidden) this.sleep();
    else if (this.source === null) this.open();
  };

  constructor(private readonly path: string, private readonly hears: Hears) {
    document.addEventListener("visibilitychange", this.seen);
    if (document.hidden) this.sleep();
    else this.open();
  }

  close(): void {
    document.removeEventListener("visibilitychange", this.seen);
    this.stop();
  }

  private stop(): void {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  private sleep(): void {
    this.stop();
    this.hears.standing("asleep", null);
  }

  private open(): void {
    this.stop();
    this.hears.standing("opening", null);
    const source = new EventSource(this.path);
    this.source = source;
    source.onopen = () => {
      this.wait = AGAIN_MS;
      this.hears.standing("live", null);
    };
    for (const [name, hear] of Object.entries(this.hears.on)) {
      source.addEventListener(name, (event) => hear(JSON.parse(event.data)));
    }
    source.onerror = () => void this.lost(source);
  }

  /** Asks the node why, since an EventSource does not say, and tries again later. */
  private async lost(source: EventSource): Promise<void> {
    if (source !== this.source) return;
    this.stop();
    this.hears.standing("lost", null);
    this.timer = window.setTimeout(() => this.open(), this.wait);
    this.wait = Math.min(this.wait * 2, AGAIN_MS_MAX);
    try {
      await call("GET /v1/session", {});
    } catch (thrown) {
      const fault = asFault(thrown);
      if (this.timer !== 0 && session.now) this.hears.standing("lost", fault);
    }
  }
}
