/** `1.4` or `140%` as a number; null where the text is neither. Unlike ratios, factors go beyond one. */
export function parseFactor(value: string | number): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  return /^\d{1,4}(\.\d{1,3})?%$/.test(value) ? Number(value.slice(0, -1)) / 100 : null;
}
