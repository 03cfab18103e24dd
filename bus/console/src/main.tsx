// Starts the console: who is there decides what is shown.
import "./style.css";
import { type JSX, render } from "preact";
import { useEffect } from "preact/hooks";
import { recall, session } from "./client";
import { Frame } from "./frame";
import { Approvals } from "./pages/approvals";
import { Audit } from "./pages/audit";
import { Enter } from "./pages/enter";
import { Fleet } from "./pages/fleet";
import { Letters } from "./pages/letters";
import { Live } from "./pages/live";
import { Message } from "./pages/message";
import { Policy } from "./pages/policy";
import { Recovery } from "./pages/recovery";
import { Streams } from "./pages/streams";
import { Empty } from "./parts/note";
import { type Route, useRoute } from "./route";
import { useValue } from "./value";

function Page({ route }: { route: Route }): JSX.Element {
  const { page, argument, query } = route;
  switch (page) {
    case "fleet": return <Fleet argument={argument} query={query} />;
    case "live": return <Live query={query} />;
    case "message": return <Message argument={argument} />;
    case "approvals": return <Approvals />;
    case "letters": return <Letters argument={argument} />;
    case "streams": return <Streams />;
    case "policy": return <Policy argument={argument} query={query} />;
    case "audit": return <Audit query={query} />;
    case "recovery": return <Recovery />;
    default: return <section class="card"><h1 class="unseen">No such page</h1><Empty icon="message" title="There is no such page."><p>The address leads nowhere. <a href="#/fleet">To the fleet</a></p></Empty></section>;
  }
}

function Console(): JSX.Element {
  const who = useValue(session);
  const route = useRoute();
  useEffect(() => void recall(), []);
  if (who === undefined) return <main class="gate" aria-busy="true"><h1 class="unseen">Assent</h1></main>;
  if (who === null) return <Enter />;
  return <Frame page={route.page}><Page route={route} key={route.page} /></Frame>;
}

const place = document.getElementById("app");
if (place === null) throw new Error("the page has no place for the console");
place.replaceChildren();
render(<Console />, place);
