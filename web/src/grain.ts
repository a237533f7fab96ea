/** Grain: the fixed noise that a chain's photos get, as in `neuralart/pictures/grain.py`. */

/** The sum of the fields has this standard deviation in levels of 255; 0 is without grain. */
export interface Grain {
  strength: number;
  /** What 1 standard deviation is in a field. */
  units: number;
  /** Squares that repeat along both axes. */
  fields: Int8Array[];
}

/** Reads the fields of models.json, which are in base64. Throws Error if one is no square. */
export function parseFields(texts: string[]): Int8Array[] {
  return texts.map((text) => {
    const field = Int8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    if (!Number.isInteger(Math.sqrt(field.length)) || field.length === 0) throw new Error("grain");
    return field;
  });
}

/** Adds grain to three planes of a picture whose first pixel is at (left, top) in its photo. */
export function addGrain(
  planes: Float32Array,
  width: number,
  height: number,
  { strength, units, fields }: Grain,
  left = 0,
  top = 0,
): void {
  if (strength === 0) return;
  const unit = strength / units / Math.sqrt(fields.length);
  const area = width * height;
  for (const field of fields) {
    const period = Math.sqrt(field.length);
    for (let y = 0; y < height; y++) {
      const row = ((top + y) % period) * period;
      for (let x = 0; x < width; x++) {
        const grain = unit * field[row + ((left + x) % period)];
        const at = y * width + x;
        planes[at] += grain;
        planes[area + at] += grain;
        planes[2 * area + at] += grain;
      }
    }
  }
}
