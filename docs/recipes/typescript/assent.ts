/**
 * A client of `assent.v1` for browsers and Node, in one file and without dependencies.
 *
 * Rule: each call ends once. What was on its way when a line was lost is sent again only
 * where the node has a store and knows it by its dedup name; else it ends as failed, and
 * says that nobody knows. It needs a global `WebSocket`, or one given in the options.
 */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Body = Json | Uint8Array;

export interface Outcome {
  status: "accepted" | "denied" | "held" | "dropped" | "rejected" | "failed";
  message_id: string;
  deliveries?: number;
  duplicate?: boolean;
  code?: string;
  reason?: string;
  reasons?: string[];
  revision?: string;
  retry_after?: number;
  until_ns?: number;
}

export interface Publishing {
  type?: string;
  priority?: 0 | 1 | 2 | 3;
  headers?: Record<string, string>;
  ttl?: number;
  correlation?: string;
  causation?: string;
  content_type?: string;
  ordering_key?: string;
  dedup?: string;
  delay?: number | string;
  wait?: number;
}

export interface Subscribing {
  queue?: string;
  durable?: boolean | string;
  start?: "new" | "all" | number | string;
  max_deliver?: number;
  ack_wait?: number;
  backoff?: number[];
  maxInFlight?: number;
}

export interface Options {
  token?: string;
  client?: string;
  /** How long calls wait for a node that is away; it is looked for without end. */
  patienceMs?: number;
  /** Called where messages of a pattern may have been missed. */
  onGap?: (pattern: string) => void;
  /** Called when the connection has ended for good. */
  onEnd?: (error: AssentError) => void;
  WebSocket?: typeof WebSocket;
}

/** What a node refuses, by its stable code. */
export class AssentError extends Error {
  constructor(readonly code: string, detail: string, readonly reasons: string[] = []) {
    super(detail);
    this.name = "AssentError";
  }
}

/** A message in a handler's hands. It is acked when the handler returns. */
export interface Delivery {
  id: string;
  subject: string;
  body: Body;
  content_type: string;
  type: string;
  priority: number;
  sender: string;
  tenant: string;
  created_ns: number;
  attempt: number;
  depth: number;
  headers: Record<string, string>;
  reply_to?: string;
  correlation?: string;
  nak(delay?: number): void;
  term(reason?: string): void;
  inProgress(): void;
  reply(body: Body): Promise<Outcome>;
  /** Publish what comes of it: its lineage descends from this message. */
  publish(subject: string, body: Body, options?: Publishing): Promise<Outcome>;
}

export type Handler = (body: Body, delivery: Delivery) => unknown;

// What the node sends; it is checked there, so here it is taken as it comes.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Frame = { op: string; [field: string]: any };
type Call = {
  text: string;
  sent: boolean;
  bound: boolean;
  again: boolean;
  done: (frame: Frame) => void;
  fail: (error: AssentError) => void;
};
type Taker = { sid: number; pattern: string; handler: Handler; options: Subscribing; stood: boolean };

const UNKNOWN = "the connection was lost; whether it was carried out is not known";
const FOR_GOOD = [4401, 4403];
const OURS = [1002, 1003, 1007, 1009, 4400, 4413]; // a frame of ours is to blame

export class Assent {
  agent = "";
  tenant = "";
  durable = false;
  private socket: WebSocket | null = null;
  private session: string | undefined;
  private readonly calls = new Map<number, Call>();
  private readonly takers = new Map<number, Taker>();
  private out: { text: string; id?: number }[] = [];
  private itemsMax = 1;
  private charsMax = 65_536;
  private numbers = 0;
  private attempt = 0;
  private closed = false;
  private patience: ReturnType<typeof setTimeout> | undefined;
  private readonly name = crypto.randomUUID();

  private constructor(private readonly url: string, private readonly options: Options) {}

  /** Connect; rejects where the node does not let the credential in. */
  static async connect(url: string, options: Options = {}): Promise<Assent> {
    const made = new Assent(url, options);
    await made.dial();
    return made;
  }

  /** Publish, and learn what became of the message. */
  async publish(subject: string, body: Body, options: Publishing = {}): Promise<Outcome> {
    return this.publishing(subject, body, options, undefined);
  }

  /** Publish a query and return the first reply's body. */
  async request(subject: string, body: Body, timeout = 30): Promise<Body> {
    const answer = await this.call({ op: "request", subject, timeout, ...encoded(body) });
    if (answer.op === "outcome") throw new AssentError(answer.code ?? answer.status, answer.reason ?? "");
    return decoded(answer);
  }

  /** Handle what matches a pattern. Returns how to end it; resolves once it is in force. */
  async subscribe(pattern: string, handler: Handler, options: Subscribing = {}): Promise<() => Promise<number>> {
    const taker = { sid: ++this.numbers, pattern, handler, options, stood: false };
    this.takers.set(taker.sid, taker);
    try {
      await this.ask(taker);
    } catch (error) {
      this.takers.delete(taker.sid);
      throw error;
    }
    return async () => {
      const ended = await this.call({ op: "unsubscribe", sid: taker.sid, drain: 5 });
      this.takers.delete(taker.sid);
      return ended.left as number;
    };
  }

  /** Hang up. What has no answer yet ends as failed. */
  close(): void {
    this.over(new AssentError("not_started", "the connection was closed"));
    this.socket?.close(1000);
  }

  private async publishing(subject: string, body: Body, options: Publishing, did: number | undefined): Promise<Outcome> {
    const kept = this.durable && did === undefined;
    const dedup = options.dedup ?? (kept ? `${this.name}.${this.numbers + 1}` : undefined);
    try {
      const frame = { op: "publish", subject, ...options, dedup, did, ...encoded(body, options.content_type) };
      return (await this.call(frame, kept)) as unknown as Outcome;
    } catch (error) {
      if (!(error instanceof AssentError)) throw error;
      return { status: "failed", message_id: "", code: error.code, reason: error.message };
    }
  }

  private call(frame: Frame, again = false, first = false): Promise<Frame> {
    return new Promise((done, fail) => {
      if (this.closed) throw new AssentError("not_started", "the connection has ended");
      const id = ++this.numbers;
      const text = JSON.stringify({ ...frame, id }); // what cannot be written throws here
      if (text.length > this.charsMax) throw new AssentError("limit_exceeded", "longer than a frame");
      const bound = frame.did !== undefined || frame.sid !== undefined; // to this very line
      this.calls.set(id, { text, sent: false, bound, again, done, fail });
      if (this.socket) this.send(text, id, first);
    });
  }

  /** What is said within one turn goes together. */
  private send(text: string, id?: number, first = false): void {
    if (this.out.length === 0) queueMicrotask(() => this.flush());
    if (first) this.out.unshift({ text, id });
    else this.out.push({ text, id });
  }

  private flush(): void {
    const out = this.out;
    this.out = [];
    let part: string[] = [];
    let chars = 0;
    const write = () => this.socket?.send(part.length === 1 ? part[0]! : `[${part.join()}]`);
    for (const { text, id } of out) {
      if (part.length === this.itemsMax || (part.length && chars + text.length > this.charsMax)) {
        write();
        [part, chars] = [[], 0];
      }
      part.push(text);
      chars += text.length + 1;
      const call = id === undefined ? undefined : this.calls.get(id);
      if (call) call.sent = true;
    }
    if (part.length) write();
  }

  private dial(): Promise<void> {
    const Socket = this.options.WebSocket ?? WebSocket;
    const socket = new Socket(this.url, "assent.v1");
    return new Promise((stands, fail) => {
      let said: AssentError | undefined;
      let open = false;
      socket.onopen = () => {
        const { token, client = "assent-typescript" } = this.options;
        socket.send(JSON.stringify({ op: "connect", token, client, resume: this.session }));
      };
      socket.onmessage = (event) => {
        const read = JSON.parse(event.data as string) as Frame | Frame[];
        for (const frame of Array.isArray(read) ? read : [read]) {
          if (frame.op === "connected") {
            open = true;
            this.opened(socket, frame);
            stands();
          } else if (frame.op === "error" && frame.id === undefined && frame.sid === undefined) {
            said = new AssentError(frame.code, frame.detail, frame.reasons);
          } else this.take(frame);
        }
      };
      socket.onclose = (event) => {
        const error = said ?? new AssentError("unavailable", `no line to ${this.url} (${event.code})`);
        if (!open) fail(Object.assign(error, { forGood: FOR_GOOD.includes(event.code) }));
        else if (FOR_GOOD.includes(event.code)) this.over(error);
        else this.lost(OURS.includes(event.code));
      };
      socket.onerror = () => undefined; // a close follows, and says as much
    });
  }

  private opened(socket: WebSocket, frame: Frame): void {
    if (this.closed) return socket.close(1000); // closed while it was looked for
    const { agent, tenant, durable, session, limits } = frame;
    Object.assign(this, { agent, tenant, durable, session, socket, attempt: 0 });
    this.itemsMax = limits.frame_items;
    this.charsMax = Math.floor(limits.frame_bytes / 3) - 2; // a character is 3 bytes at most
    clearTimeout(this.patience);
    for (const [id, call] of this.calls) this.send(call.text, id);
    for (const taker of this.takers.values()) if (taker.stood) void this.ask(taker).catch(() => undefined);
  }

  private lost(ours: boolean): void {
    this.socket = null;
    this.out = [];
    if (this.closed) return;
    for (const [id, call] of this.calls) {
      if ((call.sent && (ours || !call.again)) || call.bound) {
        this.calls.delete(id);
        call.fail(new AssentError("unavailable", UNKNOWN));
      } else call.sent = false;
    }
    clearTimeout(this.patience);
    this.patience = setTimeout(() => {
      for (const call of this.calls.values()) call.fail(new AssentError("unavailable", "no node answers"));
      this.calls.clear();
    }, this.options.patienceMs ?? 30_000);
    this.again();
  }

  /** Look for another line: after a wait drawn from all up to a bound that doubles. */
  private again(): void {
    const wait = Math.random() * Math.min(100 * 2 ** this.attempt++, 10_000);
    setTimeout(() => {
      if (this.closed) return;
      this.dial().catch((error: AssentError & { forGood?: boolean }) => {
        if (error.forGood) this.over(error);
        else this.again();
      });
    }, wait);
  }

  private over(error: AssentError): void {
    if (this.closed) return;
    this.closed = true;
    this.socket?.close(1000);
    clearTimeout(this.patience);
    for (const call of this.calls.values()) call.fail(error);
    this.calls.clear();
    this.options.onEnd?.(error);
  }

  private async ask(taker: Taker): Promise<void> {
    const { maxInFlight: credit = 1, ...rest } = taker.options;
    const { sid, pattern } = taker;
    const frame = await this.call({ op: "subscribe", sid, pattern, credit, ack: "explicit", ...rest }, false, true);
    if (taker.stood && !frame.kept) this.options.onGap?.(pattern);
    taker.stood = true;
  }

  private take(frame: Frame): void {
    if (frame.op === "message") void this.handle(frame);
    else if (frame.op === "ended") this.takers.delete(frame.sid);
    else if (frame.op === "missed") this.options.onGap?.(this.takers.get(frame.sid)?.pattern ?? "");
    else if (frame.id !== undefined) {
      const call = this.calls.get(frame.id);
      this.calls.delete(frame.id);
      if (frame.op === "error") call?.fail(new AssentError(frame.code, frame.detail, frame.reasons));
      else call?.done(frame);
    }
  }

  private async handle(frame: Frame): Promise<void> {
    const { sid, did } = frame;
    const socket = this.socket;
    let settled = false;
    const say = (told: Frame) => {
      if (this.socket === socket) this.send(JSON.stringify(told)); // no other line knows it
    };
    const settle = (told: Frame) => {
      if (settled) throw new AssentError("already_settled", `${frame.id} was settled before`);
      settled = true;
      say(told);
    };
    const body = decoded(frame);
    let replied = false;
    const reply = async (answer: Body): Promise<Outcome> => {
      replied = true;
      return (await this.call({ op: "reply", sid, did, ...encoded(answer) })) as unknown as Outcome;
    };
    const delivery = {
      ...(frame as unknown as Omit<Delivery, "nak" | "term" | "inProgress" | "reply" | "publish">),
      body,
      headers: (frame.headers ?? {}) as Record<string, string>,
      nak: (delay?: number) => settle({ op: "nak", sid, did, delay }),
      term: (reason?: string) => settle({ op: "term", sid, did, reason }),
      inProgress: () => say({ op: "in_progress", sid, did }),
      reply,
      publish: (subject: string, more: Body, options: Publishing = {}) =>
        this.publishing(subject, more, options, settled || this.socket !== socket ? undefined : did),
    };
    try {
      const answer = await this.takers.get(sid)?.handler(body, delivery);
      if (frame.reply_to && !settled && !replied) await reply((answer ?? null) as Body);
      if (!settled) settle({ op: "ack", sid, dids: [did] });
    } catch {
      if (!settled) settle({ op: "nak", sid, did });
    }
    say({ op: "credit", sid, n: 1 });
  }
}

function encoded(body: Body, contentType?: string): Record<string, Json | undefined> {
  if (!(body instanceof Uint8Array)) return { body: body ?? null };
  let text = "";
  for (const byte of body) text += String.fromCharCode(byte);
  return { body: btoa(text), encoding: "base64", content_type: contentType };
}

function decoded(frame: Frame): Body {
  if (frame.encoding !== "base64") return frame.body as Json;
  return Uint8Array.from(atob(frame.body as string), (letter) => letter.charCodeAt(0));
}
