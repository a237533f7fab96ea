/**
 * Which parts of a large picture are painted one after the other.
 *
 * With frozen statistics every layer of a chain is local: further than `reach` from a tile's edge, the tile
 * has the colours of the whole picture, if its corner lies on the grid of the strides (`multiple`).
 */

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export interface Tile {
  /** What is computed. */
  window: Box;
  /** The part of it that is kept; the parts of all tiles make the picture. */
  kept: Box;
}

interface Span {
  begin: number;
  length: number;
  from: number;
  to: number;
}

/** Windows of one length that cover 0..size, each overlapping the next by two reaches at least. */
export function spans(size: number, count: number, reach: number, multiple: number): Span[] {
  if (count === 1) return [{ begin: 0, length: size, from: 0, to: size }];
  // The last window ends where the picture does, so its length is on the grid if the others are.
  const overlap = 2 * reach + multiple; // to begin on the grid takes up to a multiple of it
  const least = (size + overlap * (count - 1)) / count;
  const length = size - Math.floor((size - least) / multiple) * multiple;
  if (length >= size) return spans(size, 1, reach, multiple);
  const begins = Array.from({ length: count }, (_, i) =>
    i === count - 1
      ? size - length
      : Math.floor(((size - length) * i) / (count - 1) / multiple) * multiple,
  );
  const seams = begins.slice(1).map((begin, i) => Math.floor((begin + begins[i] + length) / 2));
  return begins.map((begin, i) => ({
    begin,
    length,
    from: i === 0 ? 0 : seams[i - 1],
    to: i === count - 1 ? size : seams[i],
  }));
}

/**
 * The tiles that cost least in all, each of at most `most` pixels with its overlap.
 *
 * Throws RangeError if overlaps alone are larger than that.
 */
export function plan(
  width: number,
  height: number,
  reach: number,
  multiple: number,
  most: number,
): Tile[] {
  let best: { rows: Span[]; columns: Span[]; cost: number } | undefined;
  const limit = (size: number) => 1 + Math.ceil(size / Math.max(multiple, reach));
  for (let m = 1; m <= limit(height); m++) {
    const rows = spans(height, m, reach, multiple);
    if (rows.length < m) break;
    for (let n = 1; n <= limit(width); n++) {
      const columns = spans(width, n, reach, multiple);
      if (columns.length < n) break;
      const area = rows[0].length * columns[0].length;
      if (area <= most) {
        const cost = area * m * n;
        if (!best || cost < best.cost) best = { rows, columns, cost };
        break; // more columns only overlap more
      }
    }
  }
  if (!best) throw new RangeError(`no tiles of ${most} pixels with an overlap of ${reach}`);
  return best.rows.flatMap((row) =>
    best.columns.map((column) => ({
      window: { left: column.begin, top: row.begin, width: column.length, height: row.length },
      kept: {
        left: column.from,
        top: row.from,
        width: column.to - column.from,
        height: row.to - row.from,
      },
    })),
  );
}
