// Asks the node. Every answer is typed by its operation, every refusal is a Fault with the
// node's stable code. The token of the session is the browser's, out of our reach; the CSRF
// token that goes with writes stays in memory.
import type { Operations } from "./api";
import { Value } from "./value";

export type Operation = keyof Operations;
export type Asks<K extends Operation> = Operations[K]["asks"];
export type Answers<K extends Operation> = Operations[K]["answers"];

const WAIT_MS = 20_000;

/** Who is signed in. Undefined: not known yet. Null: nobody. */
export const session = new Value<Answers<"GET /v1/session"> | null | undefined>(undefined);

/** Why nobody is, where that is worth saying. */
export const farewell = new Value<string>("");

export class Fault extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly reasons: readonly string[] = [],
    readonly retryAfter: number | null = null,
  ) {
    super(detail);
  }
}

function words(value: unknown): string {
  return typeof value === "string" ? value : "";
}

async function faultOf(answer: Response): Promise<Fault> {
  let told: Record<string, unknown> = {};
  try {
    const read: unknown = await answer.json();
    if (typeof read === "object" && read !== null) told = { ...read };
  } catch {
    // Whatever stands between us and the node answered: the status has to do.
  }
  const after = Number(told["retry_after"] ?? answer.headers.get("Retry-After") ?? NaN);
  const reasons = Array.isArray(told["reasons"]) ? told["reasons"].map(String) : [];
  return new Fault(
    answer.status,
    words(told["code"]) || `http_${answer.status}`,
    words(told["detail"]) || words(told["title"]) || answer.statusText,
    reasons,
    Number.isFinite(after) ? after : null,
  );
}

/** Turns whatever was thrown into a Fault. */
export function asFault(thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown;
  if (thrown instanceof DOMException && thrown.name === "TimeoutError") {
    return new Fault(0, "timeout", `The node did not answer within ${WAIT_MS / 1000} s.`);
  }
  return new Fault(0, "unreachable", "The node cannot be reached.");
}

/** Sends one request and returns the response, or throws a Fault. */
export async function send(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
  headers: Record<string, string> = {},
): Promise<Response> {
  const all: Record<string, string> = { Accept: "application/json", ...headers };
  if (method !== "GET") all["X-CSRF-Token"] = session.now?.csrf ?? "";
  if (body !== undefined) all["Content-Type"] = "application/json";
  const limit = AbortSignal.timeout(WAIT_MS);
  const answer = await fetch(path, {
    method,
    headers: all,
    body: body === undefined ? null : JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
    redirect: "error",
    referrerPolicy: "no-referrer",
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
  });
  if (answer.ok) return answer;
  const fault = await faultOf(answer);
  if (fault.status === 401 && session.now) leave("Your session has ended. Sign in again to go on.");
  throw fault;
}

/** Calls an operation: fields named in its path go there, the others to query or body. */
export async function call<K extends Operation>(
  operation: K,
  asks: Asks<K>,
  options: { signal?: AbortSignal; headers?: Record<string, string> } = {},
): Promise<Answers<K>> {
  const space = operation.indexOf(" ");
  const method = operation.slice(0, space);
  const rest = new Map(Object.entries(asks as object).filter(([, value]) => value !== undefined));
  let path = operation.slice(space + 1).replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = rest.get(name);
    rest.delete(name);
    return encodeURIComponent(String(value));
  });
  let body: unknown;
  if (method === "GET" || method === "DELETE") {
    const query = new URLSearchParams();
    for (const [name, value] of rest) if (value !== null && value !== "") query.append(name, String(value));
    if (rest.size > 0 && query.size > 0) path += `?${query}`;
  } else {
    body = Object.fromEntries(rest);
  }
  const answer = await send(method, path, body, options.signal, options.headers);
  return (answer.status === 204 ? undefined : await answer.json()) as Answers<K>;
}

/** Asks who is signed in. */
export async function recall(): Promise<void> {
  try {
    session.set(await call("GET /v1/session", {}));
  } catch (thrown) {
    const fault = asFault(thrown);
    if (fault.status !== 401) farewell.set(`${fault.detail} (${fault.code})`);
    session.set(null);
  }
}

/** Signs in. The token is sent once and not kept. */
export async function enter(token: string): Promise<void> {
  const made = await call("POST /v1/session", { token });
  farewell.set("");
  session.set(made);
}

/** Forgets who was signed in, and says why. */
export function leave(why: string): void {
  farewell.set(why);
  session.set(null);
}
