/** `12 s ago`, `3 min ago`, `2 h ago`, `5 d ago` for an instant; `-` where there is none. */
export function ageText(instant: string | null | undefined, nowMs: number): string {
  if (instant === null || instant === undefined || instant === '') return '-';
  const at = Date.parse(instant);
  if (Number.isNaN(at)) return instant;
  const text = spanText(Math.abs(nowMs - at));
  return at > nowMs + 1_000 ? `in ${text}` : `${text} ago`;
}

/** `850 ms`, `12 s`, `3 min`, `2 h`, `5 d`: one unit, rounded down. */
export function spanText(spanMs: number): string {
  if (spanMs < 1_000) return `${Math.round(spanMs)} ms`;
  if (spanMs < 60_000) return `${Math.floor(spanMs / 1_000)} s`;
  if (spanMs < 3_600_000) return `${Math.floor(spanMs / 60_000)} min`;
  if (spanMs < 172_800_000) return `${Math.floor(spanMs / 3_600_000)} h`;
  return `${Math.floor(spanMs / 86_400_000)} d`;
}

/** `512 B`, `3.4 KiB`, `1.2 MiB`. */
export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 ** 2) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}
