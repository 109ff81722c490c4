import type { Violation } from '@remora/core/violation';
import { ApiProblem } from './api-client.ts';
import type { CommandFailure } from './command-failure.ts';
import { violationText } from './violation-text.ts';
import type { Style } from './style.ts';

/** Why a command failed, for a person: one line, then everything the control plane said about it. */
export function failureText(failure: CommandFailure, style: Style): string {
  const problem = failure instanceof ApiProblem ? failure.problem : null;
  const details = problem === null ? '' : problemDetails(problem, style);
  const headline = problem !== null && details !== '' && problem.title !== undefined ? `${problem.title}${countText(problem)}` : failure.message;
  return `${style.bad('error:')} ${headline}\n${details}`;
}

function countText(problem: ApiProblem['problem']): string {
  const violations = problem['violations'];
  if (!Array.isArray(violations)) return '';
  return `: ${violations.length} ${violations.length === 1 ? 'violation' : 'violations'}`;
}

function problemDetails(problem: ApiProblem['problem'], style: Style): string {
  const violations = problem['violations'];
  let text = Array.isArray(violations) ? violationText(violations as Violation[], style) : '';
  const guards = problem['guards'];
  if (Array.isArray(guards)) text += guardText(guards as GuardRefusal[], style);
  const referrers = problem['referrers'];
  if (Array.isArray(referrers)) text += (referrers as Referrer[]).map(({ from, pointer, to }) => `  ${style.name(from)} refers to ${style.name(to)} at ${pointer}\n`).join('');
  return text;
}

/** A document that names one to be deleted, and where. */
interface Referrer {
  readonly from: string;
  readonly pointer: string;
  readonly to: string;
}

/** What a guard said: which, for whom, and how to insist. */
export interface GuardRefusal {
  readonly guard: string;
  readonly subjects?: readonly string[];
  readonly message?: string;
}

function guardText(guards: readonly GuardRefusal[], style: Style): string {
  return guards
    .map((one) => `  guard ${style.name(one.guard)}: ${one.message ?? ''}${one.subjects?.length ? ` (${one.subjects.join(', ')})` : ''}\n      to insist: --force ${one.guard}\n`)
    .join('');
}
