import type { Exchange } from '@remora/policy-kit/exchange';
import type { LogConditionSettings } from './wire.ts';

export type ExchangeTest = (x: Exchange) => boolean;

/** Whether any of what the condition names is true of a finished exchange. */
export function compileAny(condition: LogConditionSettings, elapsedMs: (x: Exchange) => number): ExchangeTest {
  const { slowerThanMs, refusals } = condition;
  const status = statusTest(condition.statuses);
  return (x) => (status !== null && status(x)) || (slowerThanMs > 0 && elapsedMs(x) > slowerThanMs) || (refusals && isRefused(x));
}

/** Whether all of it is. */
export function compileAll(condition: LogConditionSettings, elapsedMs: (x: Exchange) => number): ExchangeTest {
  const { slowerThanMs, refusals } = condition;
  const status = statusTest(condition.statuses);
  return (x) => (status === null || status(x)) && (slowerThanMs === 0 || elapsedMs(x) > slowerThanMs) && (!refusals || isRefused(x));
}

/** An answer that Remora made because something was wrong: preflights and redirects are not refusals. */
function isRefused(x: Exchange): boolean {
  return x.refusal !== null && (x.refusal.status >= 400 || x.refusal.status === 0);
}

function statusTest(statuses: readonly number[]): ExchangeTest | null {
  if (statuses.length === 0) return null;
  const wanted = new Uint8Array(600);
  for (const status of statuses) {
    if (status >= 6) wanted[status] = 1;
    else wanted.fill(1, status * 100, status === 0 ? 1 : status * 100 + 100);
  }
  return (x) => wanted[x.status] === 1;
}

/** Paths that are not logged: exact ones, and everything below `/static/*`. */
export function compilePaths(paths: readonly string[]): ExchangeTest | null {
  if (paths.length === 0) return null;
  const exact = new Set(paths.filter((path) => !path.endsWith('/*')));
  const stems = paths.filter((path) => path.endsWith('/*')).map((path) => path.slice(0, -2));
  return ({ askedPath, head }) => {
    const path = askedPath ?? head.path;
    if (exact.has(path)) return true;
    for (const stem of stems) {
      if (path.startsWith(stem) && (path.length === stem.length || path.charCodeAt(stem.length) === 0x2f)) return true;
    }
    return false;
  };
}
