// Dialogs. An order that hurts is given only with its object's name typed once more.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { asFault, type Fault } from "../client";
import { FaultNote } from "./note";

export function Dialog({ title, close, children }: { title: string; close: () => void; children: ComponentChildren }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const name = useId();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => { if (before instanceof HTMLElement) before.focus(); };
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={name} onClose={close} onCancel={close}>
      <div class="body">
        <h1 id={name}>{title}</h1>
        {children}
      </div>
    </dialog>
  );
}

export interface OrderProps {
  title: string;
  /** What it does, in words. */
  says: ComponentChildren;
  /** What the button says. */
  verb: string;
  /** What must be typed; without it nothing has to. */
  confirm?: string;
  danger?: boolean;
  reason?: "needed" | "none";
  run: (reason: string, confirm: string) => Promise<void>;
  close: () => void;
}

/** Asks for a reason and, where it hurts, for the name; runs the order; says what failed. */
export function OrderDialog(props: OrderProps): JSX.Element {
  const [reason, setReason] = useState("");
  const [typed, setTyped] = useState("");
  const [fault, setFault] = useState<Fault | null>(null);
  const [busy, setBusy] = useState(false);
  const asksReason = props.reason !== "none";
  const ready = (!asksReason || reason.trim() !== "") && (props.confirm === undefined || typed === props.confirm);

  async function give(event: Event): Promise<void> {
    event.preventDefault();
    if (!ready || busy) return;
    setBusy(true);
    try {
      await props.run(reason.trim(), typed);
      props.close();
    } catch (thrown) {
      setFault(asFault(thrown));
      setBusy(false);
    }
  }
  return (
    <Dialog title={props.title} close={props.close}>
      <p>{props.says}</p>
      <form onSubmit={give} class="bare-form">
        {asksReason && (
          <label class="field">
            <span>Reason, for the audit record</span>
            <input class="input" value={reason} onInput={(e) => setReason(e.currentTarget.value)} required maxLength={500} autocomplete="off" />
          </label>
        )}
        {props.confirm !== undefined && (
          <label class="field">
            <span>Type <b class="mono">{props.confirm}</b> to confirm</span>
            <input class="input mono" value={typed} onInput={(e) => setTyped(e.currentTarget.value)} autocomplete="off" spellcheck={false} />
          </label>
        )}
        {fault && <FaultNote fault={fault} />}
        <div class="row end">
          <button type="button" class="button" onClick={props.close}>Cancel</button>
          <button type="submit" class={`button ${props.danger ? "danger" : "main-action"}`} disabled={!ready || busy}>{props.verb}</button>
        </div>
      </form>
    </Dialog>
  );
}
