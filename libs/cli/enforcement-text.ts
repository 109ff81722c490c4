import type { EnforcementAnswer } from './api-shapes.ts';
import { exitCodes } from './exit-codes.ts';
import type { ExitCode } from './exit-codes.ts';
import { refusalLines } from './refusal-text.ts';
import type { Style } from './style.ts';

/**
 * One line: `revision 4 enforced by 6 of 6 in 38 ms`; then a line for every sidecar that does not enforce it, with what
 * it said.
 */
export function enforcementText(enforcement: EnforcementAnswer, style: Style): string {
  return `${enforcementLine(enforcement, style)}\n${stragglersText(enforcement, style)}`;
}

/** The first line alone, for progress. */
export function enforcementLine(enforcement: EnforcementAnswer, style: Style): string {
  const { counts } = enforcement;
  const { total } = counts;
  const revision = `revision ${enforcement.version.index}`;
  if (total === 0) return `${revision} concerns no connected sidecar`;
  const ended = counts.pending === 0 && counts.refused === 0;
  const line = `${revision} enforced by ${counts.applied} of ${total}${counts.applied > 0 ? ` in ${Math.round(enforcement.elapsedMs)} ms` : ''}`;
  const rest = (['refused', 'pending', 'offline', 'superseded'] as const).filter((outcome) => counts[outcome] > 0).map((outcome) => `${counts[outcome]} ${outcome}`);
  const text = rest.length === 0 ? line : `${line} (${rest.join(', ')})`;
  return ended && counts.applied === total ? style.good(text) : counts.refused > 0 ? style.bad(text) : style.warn(text);
}

/** 0 where all that can enforce it do; 4 at a refusal or when some are still pending. Offline ones do not count: they get it when they return. */
export function enforcementExitCode(enforcement: EnforcementAnswer): ExitCode {
  const { refused, pending } = enforcement.counts;
  return refused > 0 || pending > 0 ? exitCodes.notEnforced : exitCodes.ok;
}

/** Sidecars named for a person; `remora history REVISION -o json` names all that are known. */
const stragglersMax = 50;

/** The control plane lists first what needs somebody first. */
function stragglersText({ sidecars, counts, version }: EnforcementAnswer, style: Style): string {
  const stragglers = sidecars.filter(({ outcome }) => outcome !== 'applied').slice(0, stragglersMax);
  const lines = stragglers.map((one) => `  ${style.name(one.nodeId)} (${one.subject}) ${one.refusal === null ? `${one.outcome}\n` : refusalLines(one.refusal, style)}`);
  const more = counts.total - counts.applied - stragglers.length;
  return lines.join('') + (more > 0 ? style.faint(`  and ${more} more; remora history ${version.index} -o json names all\n`) : '');
}
