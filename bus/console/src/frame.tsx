// The frame around every page: where one can go, how the node stands, who one is.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { asFault, call, leave, session } from "./client";
import { keysOn, listen, PLACES, setKeysOn } from "./keys";
import { follow, overview, points, standing, trouble } from "./node";
import { Dialog } from "./parts/dialog";
import { Icon, Logo, Status, Word } from "./parts/mark";
import { FaultNote } from "./parts/note";
import { setTheme, type Theme, theme } from "./theme";
import { useValue } from "./value";
import { brief, compact, micros, rate, seconds } from "./words";

export function Frame({ page, children }: { page: string; children: ComponentChildren }): JSX.Element {
  const [help, setHelp] = useState(false);
  const [menu, setMenu] = useState(false);
  const main = useRef<HTMLElement>(null);
  const place = PLACES.find(([, name]) => name === page)?.[2] ?? "Assent";
  useEffect(follow, []);
  useEffect(() => listen(() => setHelp(true)), []);
  useEffect(() => {
    document.title = `${place} · Assent`;
    setMenu(false);
  }, [page]);
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>Skip to the page</a>
      <header class={`side${menu ? " open" : ""}`}>
        <div class="brand"><Logo /> Assent <Version /></div>
        <button type="button" class="button bare menu" aria-expanded={menu} aria-controls="places" onClick={() => setMenu(!menu)}><Icon name="menu" />{place.split(" and ")[0]}</button>
        <nav id="places" aria-label="Pages"><Places page={page} /></nav>
        <Who help={() => setHelp(true)} />
      </header>
      <div class="main">
        <State />
        <main class="page" id="main" ref={main} tabIndex={0} aria-label={place}>{children}</main>
      </div>
      {help && <Help close={() => setHelp(false)} />}
    </div>
  );
}

function Version(): JSX.Element {
  const version = useValue(overview)?.version;
  return <small class="quiet">{version}</small>;
}

function Places({ page }: { page: string }): JSX.Element {
  const now = useValue(overview);
  const counts: Record<string, [number, string]> = { approvals: [now?.held ?? 0, ""], letters: [now?.dead_letters ?? 0, " bad"] };
  return (
    <ul>
      {PLACES.map(([, place, name]) => {
        const [count, tone] = counts[place] ?? [0, ""];
        return (
          <li key={place}>
            <a href={`#/${place}`} aria-current={place === page ? "page" : undefined}>
              <Icon name={place} />{name.split(" and ")[0]}
              {count > 0 && <span class={`count${tone}`}>{compact(count)}<span class="unseen"> waiting</span></span>}
            </a>
          </li>
        );
      })}
    </ul>
  );
}

function State(): JSX.Element {
  const now = useValue(overview);
  const last = useValue(points).at(-1);
  const stream = useValue(standing);
  const fault = useValue(trouble);
  const ill = now?.checks.filter((check) => !check.ok) ?? [];
  return (
    <>
      <div class="state" role="region" aria-label="State of the node">
        {now ? <Word word={now.standing} badge /> : <Status tone="plain" badge>unknown</Status>}
        <dl>
          <div><dt>Rate</dt><dd>{last ? `${rate(last.accepted)}/s` : "–"}</dd></div>
          <div class="extra"><dt>p99</dt><dd>{micros(last?.p99_us)}</dd></div>
          <div class="extra"><dt>Connections</dt><dd>{now ? compact(now.connections) : "–"}</dd></div>
          <div class="extra"><dt>Policy</dt><dd class="id" title={now?.revision}>{now ? brief(now.revision) : "–"}</dd></div>
          <div class="extra"><dt>Constitution</dt><dd class="id" title={now?.constitution}>{now ? brief(now.constitution) || "none" : "–"}</dd></div>
          <div class="extra"><dt>Up</dt><dd>{seconds(now?.uptime_seconds)}</dd></div>
        </dl>
        <span class="grow" />
        <span role="status">{stream === "lost" ? <Status tone="bad">Updates lost, trying again</Status> : stream === "live" ? <Status tone="good">Up to date</Status> : <Status tone="plain">Opening updates</Status>}</span>
      </div>
      {(fault || ill.length > 0 || now?.phase === "draining") && (
        <div class="notices">
          {fault && <FaultNote fault={fault} />}
          {now?.phase === "draining" && <div class="alert warn" role="status"><p><strong>The node is stopping.</strong> It finishes what it has and takes nothing new.</p></div>}
          {ill.map((check) => <div class="alert" role="status" key={check.name}><Status tone="bad">{check.name}</Status><p>{check.text || "is not well"} <a href="#/recovery">Recovery</a></p></div>)}
        </div>
      )}
    </>
  );
}

function Who({ help }: { help: () => void }): JSX.Element {
  const who = useValue(session);
  const chosen = useValue(theme);
  async function out(): Promise<void> {
    try {
      await call("DELETE /v1/session", {});
      leave("You are signed out.");
    } catch (thrown) {
      const fault = asFault(thrown);
      if (fault.status !== 401) leave(`You left this page, but the node did not end the session: ${fault.detail}`);
    }
  }
  return (
    <div class="who">
      <div><div class="mono cut" title={who?.agent}>{who?.agent}</div><div class="quiet cut">{who?.scope} · {who?.tenant}</div></div>
      <label class="field"><span>Appearance</span>
        <select class="input" value={chosen} onChange={(e) => setTheme(e.currentTarget.value as Theme)}>
          <option value="system">as the system</option><option value="light">light</option><option value="dark">dark</option>
        </select>
      </label>
      <div class="row apart">
        <button type="button" class="button bare" onClick={help}>Keys <kbd>?</kbd></button>
        <button type="button" class="button bare" onClick={() => void out()}>Sign out</button>
      </div>
    </div>
  );
}

function Help({ close }: { close: () => void }): JSX.Element {
  const on = useValue(keysOn);
  const keys: [string[], string][] = [
    ...PLACES.map(([key, , name]): [string[], string] => [["g", key], name]),
    [["/"], "To the filter of the page"], [["Space"], "Pause and go on, in Live"], [["↑", "↓"], "Move in a list; also j and k"], [["Enter"], "Open the row"], [["Esc"], "Close a dialog"], [["?"], "This help"],
  ];
  return (
    <Dialog title="Keys" close={close}>
      <dl class="keys">
        {keys.map(([pressed, what]) => [<dt key={what}>{pressed.map((key) => <><kbd key={key}>{key}</kbd> </>)}</dt>, <dd key={`${what}-d`}>{what}</dd>])}
      </dl>
      <label class="row"><input type="checkbox" checked={on} onChange={(e) => setKeysOn(e.currentTarget.checked)} /> Keys without Ctrl do something</label>
      <div class="row end"><button type="button" class="button main-action" onClick={close}>Close</button></div>
    </Dialog>
  );
}
