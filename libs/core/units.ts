/** The scalar notations of documents: durations, sizes, ratios. Each parser answers null where the text is not one. */

const durationUnits: ReadonlyMap<string, number> = new Map([['ms', 1], ['s', 1_000], ['m', 60_000], ['h', 3_600_000], ['d', 86_400_000]]);

/** `250ms`, `5s`, `1m30s`, `1h`, `30d` → milliseconds. Units descend and do not repeat. `0s` is allowed. */
export function parseDurationMs(text: string): number | null {
  if (!/^(?:\d{1,9}(?:ms|s|m|h|d))+$/.test(text)) return null;
  let total = 0;
  let lastUnit = Number.POSITIVE_INFINITY;
  for (const [, digits, unit] of text.matchAll(/(\d+)(ms|s|m|h|d)/g)) {
    const unitMs = durationUnits.get(unit ?? '') ?? 0;
    if (unitMs >= lastUnit) return null;
    lastUnit = unitMs;
    total += Number(digits) * unitMs;
  }
  return Number.isSafeInteger(total) ? total : null;
}

/** Canonical text of a duration: `90000` → `1m30s`. */
export function formatDuration(totalMs: number): string {
  if (totalMs === 0) return '0s';
  let rest = totalMs;
  let text = '';
  for (const [unit, unitMs] of [...durationUnits].reverse()) {
    const count = Math.floor(rest / unitMs);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * unitMs;
  }
  return text;
}

const sizeUnits: ReadonlyMap<string, number> = new Map([
  ['B', 1], ['KiB', 1024], ['MiB', 1024 ** 2], ['GiB', 1024 ** 3], ['KB', 1000], ['MB', 1000 ** 2], ['GB', 1000 ** 3],
]);

/** `64KiB`, `10MiB`, `512B` → bytes. */
export function parseSizeBytes(text: string): number | null {
  const match = /^(\d{1,12})(B|KiB|MiB|GiB|KB|MB|GB)$/.exec(text);
  if (!match) return null;
  const total = Number(match[1]) * (sizeUnits.get(match[2] ?? '') ?? Number.NaN);
  return Number.isSafeInteger(total) ? total : null;
}

/** `0.2` or `20%` → 0.2. Between 0 and 1. */
export function parseRatio(value: string | number): number | null {
  if (typeof value === 'number') return value >= 0 && value <= 1 ? value : null;
  const match = /^(\d{1,3}(?:\.\d{1,6})?)%$/.exec(value);
  if (!match) return null;
  // As the decimal is written: 99.9 / 100 is a little more than 0.999.
  const ratio = Number(`${match[1]}e-2`);
  return ratio <= 1 ? ratio : null;
}
