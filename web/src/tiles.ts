/**
 * Cuts a large picture into tiles that are painted one after the other.
 *
 * With frozen statistics every layer of a chain is local. So a tile that begins at a multiple of
 * the strides (`multiple`) has the colours of the whole picture, except within `reach` of its edge.
 */

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export interface Tile {
  /** What is computed, with the overlaps. */
  computed: Box;
  /** The part of it that is kept. The kept parts of all tiles are the picture. */
  kept: Box;
}

/** A tile along one axis: it computes `length` pixels from `begin`, and keeps `from..to`. */
interface Span {
  begin: number;
  length: number;
  from: number;
  to: number;
}

/**
 * Spans of one length that cover 0..size. Each overlaps the next by at least 2 * reach.
 *
 * There are `count` of them, or one if they would be as long as the whole.
 */
function spans(size: number, count: number, reach: number, multiple: number): Span[] {
  if (count === 1) return [{ begin: 0, length: size, from: 0, to: size }];
  const overlap = 2 * reach + multiple; // a begin is rounded down by less than `multiple`
  const least = (size + overlap * (count - 1)) / count;
  // The last span ends at `size`; a length of this form makes it begin at a multiple, too.
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
 * The tiling with the fewest computed pixels whose tiles have at most `most` pixels each.
 *
 * Throws RangeError if the overlaps alone are larger than that.
 */
export function bestTiling(
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
        break; // with more columns there is more overlap
      }
    }
  }
  if (!best) throw new RangeError(`no tiles of ${most} pixels with an overlap of ${reach}`);
  return best.rows.flatMap((row) =>
    best.columns.map((column) => ({
      computed: { left: column.begin, top: row.begin, width: column.length, height: row.length },
      kept: {
        left: column.from,
        top: row.from,
        width: column.to - column.from,
        height: row.to - row.from,
      },
    })),
  );
}
