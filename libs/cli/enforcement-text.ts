import type { EnforcementAnswer, ItemEnforcementAnswer } from './api-shapes.ts';
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
  const revision = `revision ${enforcement.version.index}`;
  return enforcement.counts.total === 0 ? `${revision} concerns no connected sidecar` : countsLine(`${revision} enforced by`, enforcement, style);
}

/** The same of what is in no revision: `enforced by 5 of 6 in 12 ms (1 offline)`. */
export function itemEnforcementText(enforcement: ItemEnforcementAnswer, style: Style): string {
  if (enforcement.counts.total === 0) return 'no sidecar needs it\n';
  return `${countsLine('enforced by', enforcement, style)}\n${sidecarLines(enforcement, { offline: 'offline: if it runs, it goes on with what it had', rest: '' }, style)}`;
}

function countsLine(lead: string, { counts, elapsedMs }: Enforced, style: Style): string {
  const line = `${lead} ${counts.applied} of ${counts.total}${counts.applied > 0 ? ` in ${Math.round(elapsedMs)} ms` : ''}`;
  const rest = (['refused', 'pending', 'offline', 'superseded'] as const).flatMap((outcome) => ((counts[outcome] ?? 0) > 0 ? [`${counts[outcome]} ${outcome}`] : []));
  const text = rest.length === 0 ? line : `${line} (${rest.join(', ')})`;
  return counts.applied === counts.total ? style.good(text) : counts.refused > 0 ? style.bad(text) : style.warn(text);
}

/** 0 where all that can enforce it do; 4 at a refusal or when some are still pending. Offline ones do not count: they get it when they return. */
export function enforcementExitCode({ counts: { refused, pending } }: Enforced): ExitCode {
  return refused > 0 || pending > 0 ? exitCodes.notEnforced : exitCodes.ok;
}

/** Sidecars named for a person; `remora history REVISION -o json` names all that are known. */
const stragglersMax = 50;

/** The control plane lists first what needs somebody first. */
function stragglersText(enforcement: EnforcementAnswer, style: Style): string {
  return sidecarLines(enforcement, { offline: 'offline', rest: `; remora history ${enforcement.version.index} -o json names all` }, style);
}

function sidecarLines({ sidecars, counts }: Enforced, words: { readonly offline: string; readonly rest: string }, style: Style): string {
  const stragglers = sidecars.filter(({ outcome }) => outcome !== 'applied').slice(0, stragglersMax);
  const lines = stragglers.map((one) => `  ${style.name(one.nodeId)} (${one.subject}) ${one.refusal === null ? `${one.outcome === 'offline' ? words.offline : one.outcome}\n` : refusalLines(one.refusal, style)}`);
  const more = counts.total - counts.applied - stragglers.length;
  return lines.join('') + (more > 0 ? style.faint(`  and ${more} more${words.rest}\n`) : '');
}

/** What both sorts of answers have. */
interface Enforced {
  readonly counts: Omit<EnforcementAnswer['counts'], 'superseded'> & { readonly superseded?: number };
  readonly sidecars: readonly Pick<EnforcementAnswer['sidecars'][number], 'nodeId' | 'subject' | 'outcome' | 'refusal'>[];
  readonly elapsedMs: number;
}
