// A value that components follow. Small on purpose: the console shares a dozen of them.
import { useEffect, useState } from "preact/hooks";

export class Value<T> {
  private readonly followers = new Set<() => void>();

  constructor(public now: T) {}

  set(next: T): void {
    if (Object.is(next, this.now)) return;
    this.now = next;
    for (const follower of [...this.followers]) follower();
  }

  follow(follower: () => void): () => void {
    this.followers.add(follower);
    return () => this.followers.delete(follower);
  }
}

/** Follows a value: the component is drawn anew when it changes. */
export function useValue<T>(value: Value<T>): T {
  const [, draw] = useState(0);
  useEffect(() => {
    draw((n) => n + 1);
    return value.follow(() => draw((n) => n + 1));
  }, [value]);
  return value.now;
}

/** Follows a media query. */
export function useMedia(query: string): boolean {
  const [matches, set] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const told = (): void => set(list.matches);
    told();
    list.addEventListener("change", told);
    return () => list.removeEventListener("change", told);
  }, [query]);
  return matches;
}

export const NARROW = "(max-width: 640px)";
