// A list of any length. Only the rows in sight are in the document, so that a list of 10,000
// costs what one of 40 does. The keys move through all of it; Enter opens a row.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { NARROW, useMedia } from "../value";
import { Icon } from "./mark";

const ROW_PX = 32;
const CARD_PX = 58;
const HEAD_PX = 32;
const AHEAD = 6;

export interface Column<T> {
  key: string;
  title: string;
  /** A track of CSS grid. */
  width: string;
  cell: (row: T) => ComponentChildren;
  /** What rows are sorted by; without it the column cannot sort. */
  by?: (row: T) => string | number;
  number?: boolean;
  /** Where it goes on a narrow screen; without it, nowhere. */
  narrow?: "first" | "side" | "more" | "give";
  /** Left out where the list is narrower than this, in pixels. */
  from?: number;
  /** Said before the value on a narrow screen. */
  label?: string;
}

export interface Order { key: string; down: boolean }

export interface GridProps<T> {
  name: string;
  columns: readonly Column<T>[];
  count: number;
  at: (index: number) => T | undefined;
  id: (row: T) => string;
  open?: (row: T) => void;
  chosen?: string | null;
  order?: Order | null;
  sort?: (order: Order) => void;
  /** Told when somebody moves away from the first row, and back. */
  away?: (away: boolean) => void;
  empty: ComponentChildren;
  foot?: ComponentChildren;
}

export function Grid<T>(props: GridProps<T>): JSX.Element {
  const { count, at, id, open, order } = props;
  const narrow = useMedia(NARROW);
  const scroll = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [[width, height], setSize] = useState([2_000, 600]);
  const [active, setActive] = useState(0);
  const px = narrow ? CARD_PX : ROW_PX;
  const head = narrow ? 0 : HEAD_PX;

  useEffect(() => {
    const element = scroll.current;
    if (element === null) return undefined;
    const watch = new ResizeObserver(() => setSize([element.clientWidth, element.clientHeight]));
    watch.observe(element);
    return () => watch.disconnect();
  }, [count === 0]);

  const from = Math.max(0, Math.floor((top - head) / px) - AHEAD);
  const to = Math.min(count, Math.ceil((top + height) / px) + AHEAD);
  const here = Math.min(active, Math.max(0, count - 1));
  const columns = narrow ? props.columns : props.columns.filter((column) => (column.from ?? 0) <= width);
  const tracks = columns.map((column) => column.width).join(" ");
  const prefix = useMemo(() => `grid${Math.random().toString(36).slice(2, 8)}`, []);

  function move(event: KeyboardEvent, to_: number): void {
    event.preventDefault();
    const next = Math.max(0, Math.min(count - 1, to_));
    setActive(next);
    props.away?.(next > 0);
    const element = scroll.current;
    if (element === null) return;
    const low = next * px;
    if (low < element.scrollTop) element.scrollTop = low;
    else if (low + px + head > element.scrollTop + element.clientHeight) element.scrollTop = low + px + head - element.clientHeight;
  }

  function pressed(event: KeyboardEvent): void {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(height / px) - 1);
    if (event.key === "ArrowDown" || event.key === "j") move(event, here + 1);
    else if (event.key === "ArrowUp" || event.key === "k") move(event, here - 1);
    else if (event.key === "PageDown") move(event, here + page);
    else if (event.key === "PageUp") move(event, here - page);
    else if (event.key === "Home") move(event, 0);
    else if (event.key === "End") move(event, count - 1);
    else if (event.key === "Enter" && open) {
      const row = at(here);
      if (row !== undefined) { event.preventDefault(); open(row); }
    }
  }

  if (count === 0) return <div class="grid"><div class="scroll">{props.empty}</div>{foot(props.foot)}</div>;
  // Keyed by place and not by row: a list that moves on changes texts, and makes no elements.
  const slots = Math.ceil(height / px) + 2 * AHEAD + 2;
  const rows: JSX.Element[] = [];
  for (let index = from; index < to; index += 1) {
    const row = at(index);
    if (row === undefined) continue;
    const chosen = id(row) === props.chosen;
    rows.push(
      <div
        key={index % slots} id={`${prefix}-${index}`} role="row" aria-rowindex={index + 2} aria-selected={chosen}
        class={`line${open ? " opens" : ""}${index === here ? " active" : ""}`}
        style={narrow ? { top: `${index * px}px` } : { top: `${index * px}px`, gridTemplateColumns: tracks }}
        onClick={() => { setActive(index); open?.(row); }}
      >
        {narrow ? <Card columns={columns} row={row} /> : columns.map((column) => (
          <div key={column.key} role="gridcell" class={`cell${column.number ? " number" : ""}`}>{column.cell(row)}</div>
        ))}
      </div>,
    );
  }
  return (
    <div class="grid">
      <div
        class="scroll" ref={scroll} role="grid" aria-label={props.name} tabIndex={0}
        aria-rowcount={count + 1} aria-colcount={columns.length} aria-activedescendant={`${prefix}-${here}`}
        onScroll={(event) => { const now = event.currentTarget.scrollTop; setTop(now); props.away?.(now > px); }}
        onKeyDown={pressed}
      >
        {!narrow && (
          <div role="rowgroup" class="names-group">
            <div class="line names" role="row" aria-rowindex={1} style={{ gridTemplateColumns: tracks }}>
              {columns.map((column) => <Name key={column.key} column={column} order={order ?? null} {...(props.sort ? { sort: props.sort } : {})} />)}
            </div>
          </div>
        )}
        <div class="body" role="rowgroup" style={{ height: `${count * px}px` }}>{rows}</div>
      </div>
      {foot(props.foot)}
    </div>
  );
}

const foot = (children: ComponentChildren): JSX.Element | null => (children ? <div class="foot">{children}</div> : null);

function Name<T>({ column, order, sort }: { column: Column<T>; order: Order | null; sort?: (order: Order) => void }): JSX.Element {
  const sorted = order?.key === column.key;
  const sortable = column.by !== undefined && sort !== undefined;
  return (
    <div role="columnheader" class={`cell${column.number ? " number" : ""}`} aria-sort={sorted ? (order.down ? "descending" : "ascending") : undefined}>
      {sortable ? (
        <button type="button" onClick={() => sort({ key: column.key, down: sorted ? !order.down : column.number === true })}>
          {column.title}
          {sorted && <Icon name={order.down ? "down" : "up"} />}
        </button>
      ) : column.title}
    </div>
  );
}

function Card<T>({ columns, row }: { columns: readonly Column<T>[]; row: T }): JSX.Element {
  const place = (where: Column<T>["narrow"]): Column<T> | undefined => columns.find((column) => column.narrow === where);
  const [first, side] = [place("first"), place("side")];
  const more = columns.filter((column) => column.narrow === "more" || column.narrow === "give");
  return (
    <>
      <div role="gridcell" class="cell">{first?.cell(row)}</div>
      <div role="gridcell" class="cell">{side?.cell(row)}</div>
      <div role="gridcell" class="more quiet">
        {more.map((column) => (
          <span key={column.key} class={column.narrow}>{column.label ? `${column.label} ` : ""}{column.cell(row)}</span>
        ))}
      </div>
    </>
  );
}

/** Sorts rows by a column; the order is kept while the rows are renewed. */
export function useSorted<T>(rows: readonly T[], columns: readonly Column<T>[], first: Order | null): { rows: readonly T[]; order: Order | null; sort: (order: Order) => void } {
  const [order, sort] = useState<Order | null>(first);
  const sorted = useMemo(() => {
    const by = columns.find((column) => column.key === order?.key)?.by;
    if (by === undefined || order === null) return rows;
    const sign = order.down ? -1 : 1;
    return rows
      .map((row, index) => ({ row, index, key: by(row) }))
      .sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : a.index - b.index))
      .map((entry) => entry.row);
  }, [rows, order]);
  return { rows: sorted, order, sort };
}
