// What is said where there is nothing to show, and where something went wrong: always what
// it means and what can be done about it.
import type { ComponentChildren, JSX } from "preact";
import type { Fault } from "../client";
import { Icon, Shape } from "./mark";

export function Empty({ icon, title, children }: { icon: string; title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="note">
      <Icon name={icon} big />
      <h2>{title}</h2>
      {children}
    </div>
  );
}

function meaning(fault: Fault): [string, string] {
  switch (fault.status) {
    case 0:
      return ["No answer from the node.", "What is shown may be old. It is asked again when the node is back."];
    case 401:
      return ["Not signed in.", "The session has ended or was revoked."];
    case 403:
      return ["Not allowed.", "This needs a credential of a wider scope, or policy forbids it."];
    case 404:
      return ["Not there.", "It never was, is kept no longer, or belongs to another tenant."];
    case 409:
    case 412:
      return ["It has changed meanwhile.", "Nothing was done. Look at it again, then decide."];
    case 429:
      return ["Too many requests.", "The node protects itself. Wait a little."];
    case 503:
      return ["The node cannot do this now.", "It is asked again by itself."];
    case 504:
      return ["It took too long.", "The node gave up waiting for a part of its own."];
    default:
      return fault.status >= 500
        ? ["The node failed.", "Its log says why. Nothing was changed by this request."]
        : ["The node refused this.", "Correct what is asked and try again."];
  }
}

export function FaultNote({ fault, again }: { fault: Fault; again?: () => void }): JSX.Element {
  const [title, advice] = meaning(fault);
  const wait = fault.retryAfter === null ? "" : ` The node asks to wait ${Math.ceil(fault.retryAfter)} s.`;
  return (
    <div class="alert" role="alert">
      <Shape12 />
      <p>
        <strong>{title}</strong> {fault.detail}
        {fault.reasons.length > 0 && ` (${fault.reasons.join("; ")})`} {advice}{wait} <code>{fault.code}</code>
      </p>
      {again && <button type="button" class="button" onClick={again}>Try again</button>}
    </div>
  );
}

function Shape12(): JSX.Element {
  return <span class="status bad"><Shape tone="bad" /></span>;
}

export function Busy({ what }: { what: string }): JSX.Element {
  return <p class="quiet" role="status">Loading {what} …</p>;
}
