/** What the test of this recipe runs: each step prints a line, and a wrong one ends it. */

import { Assent, AssentError, type Body } from "./assent.js";

declare const process: { argv: string[]; exit(code: number): never };

const url = process.argv[2]!;

function check(holds: boolean, what: string): void {
  if (holds) return;
  console.log(`wrong: ${what}`);
  process.exit(1);
}

const refused = await Assent.connect(url, { token: "nobody" }).catch((error: unknown) => error);
check(refused instanceof AssentError && refused.code === "unauthenticated", `refused ${refused}`);
console.log("refused");

const gaps: string[] = [];
const planner = await Assent.connect(url, { token: "planner", onGap: (pattern) => gaps.push(pattern) });
const worker = await Assent.connect(url, { token: "worker" });
const intern = await Assent.connect(url, { token: "intern" });
check(planner.agent === "planner" && planner.tenant === "acme", "who it is");

const got: Body[] = [];
let attempts = 0;
await worker.subscribe("tasks.*", (body) => void got.push(body), { maxInFlight: 64 });
await worker.subscribe("questions.*", (body) => ({ answer: (body as { of: number }).of + 1 }));
await worker.subscribe(
  "shaky",
  () => {
    attempts += 1;
    if (attempts === 1) throw new Error("not today");
  },
  { backoff: [0] },
);
const sent = await Promise.all(Array.from({ length: 1000 }, (_, n) => planner.publish("tasks.new", n)));
check(sent.every((one) => one.status === "accepted"), "all accepted");
while (got.length < 1000) await new Promise((next) => setTimeout(next, 5));
check(got.every((body, n) => body === n), "in order");
console.log("published");

check((await planner.publish("tasks.raw", new Uint8Array([0, 255]))).status === "accepted", "octets");
while (got.length < 1001) await new Promise((next) => setTimeout(next, 5));
const octets = got[1000];
check(octets instanceof Uint8Array && octets[1] === 255, "octets arrive");
check((await intern.publish("tasks.new", 1)).status === "denied", "denied");
const nobody = await planner.publish("nobody.there", 1);
check(nobody.status === "failed" && nobody.code === "no_responders", "nobody there");
check((await planner.publish("a..b", 1)).status === "rejected", "rejected");

const answer = (await planner.request("questions.a", { of: 41 })) as { answer: number };
check(answer.answer === 42, "answer");
const silence = await planner.request("nobody.there", 1).catch((error: unknown) => error);
check(silence instanceof AssentError && silence.code === "no_responders", "no responders");
await planner.publish("shaky", 1);
while (attempts < 2) await new Promise((next) => setTimeout(next, 5));
console.log("answered");

await planner.subscribe("news", () => undefined);
console.log("ready to be hung up on");
while (gaps.length === 0) await new Promise((next) => setTimeout(next, 5));
check(gaps[0] === "news", "gap");
check((await planner.publish("news", 1)).status === "accepted", "after another line");
const end = await planner.subscribe("more", () => undefined);
check((await end()) === 0, "ended");
planner.close();
check((await planner.publish("news", 1)).status === "failed", "closed");
for (const one of [worker, intern]) one.close();
console.log("done");
