// Signing in: a token, once, for a session whose cookie this script cannot read.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { asFault, enter, farewell, type Fault } from "../client";
import { Logo } from "../parts/mark";
import { FaultNote } from "../parts/note";
import { useValue } from "../value";

export function Enter(): JSX.Element {
  const said = useValue(farewell);
  const [token, setToken] = useState("");
  const [fault, setFault] = useState<Fault | null>(null);
  const [busy, setBusy] = useState(false);
  async function go(event: Event): Promise<void> {
    event.preventDefault();
    setBusy(true);
    setFault(null);
    try {
      await enter(token.trim());
    } catch (thrown) {
      const met = asFault(thrown);
      setFault(met);
      setBusy(false);
    }
  }
  return (
    <main class="gate">
      <form onSubmit={(event) => void go(event)}>
        <div class="brand"><Logo /><h1>Assent</h1></div>
        {said && !fault && <div class="alert warn" role="status"><p>{said}</p></div>}
        {fault && (fault.status === 401
          ? <div class="alert" role="alert"><p><strong>This token does not open the console.</strong> It may be mistyped, expired or revoked. <code>{fault.code}</code></p></div>
          : <FaultNote fault={fault} />)}
        <label class="field">
          <span>Token</span>
          <input class="input mono" type="password" value={token} onInput={(e) => setToken(e.currentTarget.value)} required autocomplete="current-password" spellcheck={false} autoFocus />
        </label>
        <button type="submit" class="button main-action" disabled={busy || token.trim() === ""}>{busy ? "Signing in …" : "Sign in"}</button>
        <p class="quiet">The node printed an admin token when it started for the first time. More are made with <code>assent token create NAME --scope operator</code>.</p>
      </form>
    </main>
  );
}
