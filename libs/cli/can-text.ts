import type { CanAnswer } from './api-shapes.ts';
import type { Style } from './style.ts';

/** An answer of `remora can`, for people. */
export function canText(answer: CanAnswer, style: Style): string {
  const { decision, identity, limits } = answer;
  const verdict = answer.allowed ? style.good('allowed') : style.bad(`refused${decision === null ? '' : ` with ${decision.status}`}`);
  const facts: [string, string][] = [
    ['reason', decision?.reason ?? ''],
    ['policy', decision === null ? '' : policyText(decision)],
    ['rule', decision?.pointer ?? ''],
    ['detail', decision?.detail ?? ''],
    ['by', answer.allowedBy.map((one) => `${one.pointer}${one.policies.length === 0 ? '' : ` (${one.policies.join(', ')})`}${one.shadow ? ', in shadow' : ''}`).join('; ')],
    ['caller', identity?.caller ?? ''],
    ['consumer', identity === null || identity.consumer === '' ? '' : `${identity.consumer}${identity.plan === '' ? '' : `, plan ${identity.plan}`}`],
    ['subject', identity?.subject ?? ''],
    ['limits', limits.map((one) => `${limitName(one.pointer)}${one.policies.length === 0 ? '' : ` (${one.policies.join(', ')})`}`).join(', ')],
    ['route', answer.route],
    ['shadow', answer.steps.filter(({ verdict: one }) => one === 'would refuse').map((one) => `${one.kind} would refuse: ${one.reason} ${one.pointer}`).join('; ')],
    ['asked', `${answer.sidecar} (${answer.subject}), revision ${answer.revision}`],
  ];
  const notes = answer.notes.map((note) => `    ${style.faint(`note        ${note}`)}\n`).join('');
  return `${verdict}\n${facts.filter(([, value]) => value !== '').map(([name, value]) => `    ${name.padEnd(12)}${value}\n`).join('')}${notes}`;
}

function policyText({ kind, policies }: Step): string {
  if (kind === '') return '';
  return `${policies.length === 0 ? 'none, the default holds' : policies.join(', ')}, kind ${kind}`;
}

/** `perIp` of a policy; `gold/perMinute` of the Plan gold, as in the headers of responses. */
function limitName(pointer: string): string {
  const [, plan, limit] = /^\/plans\/([^/]+)\/(?:limits|quotas)\/(.+)$/.exec(pointer) ?? [];
  return plan === undefined ? pointer.replace(/^\/limits\//, '') : `${plan}/${limit ?? ''}`;
}

type Step = CanAnswer['steps'][number];
