// Where one is: #/page/argument?field=value. The node serves one page; the rest is here.
import { useEffect, useState } from "preact/hooks";

export interface Route { page: string; argument: string; query: URLSearchParams }

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const slash = path.indexOf("/");
  const page = slash < 0 ? path : path.slice(0, slash);
  return { page: page || "fleet", argument: slash < 0 ? "" : decoded(path.slice(slash + 1)), query: new URLSearchParams(query) };
}

export function useRoute(): Route {
  const [route, set] = useState(() => parse(location.hash));
  useEffect(() => {
    const moved = (): void => set(parse(location.hash));
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return route;
}

/** The address of a page with its filters, so that what is seen can be linked to. */
export function address(page: string, argument = "", query: Record<string, string> = {}): string {
  const kept = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
  return `#/${page}${argument ? `/${encodeURIComponent(argument)}` : ""}${kept.size > 0 ? `?${kept}` : ""}`;
}
