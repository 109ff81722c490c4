import { ageText } from './age-text.ts';
import type { WhyAnswer } from './api-shapes.ts';
import type { Style } from './style.ts';

type Hop = WhyAnswer['refusals'][number];
type Cause = Hop['cause'];

/** What `remora why` prints: the way of the request in one line with what decided at its end, then each hop. */
export function whyText(answer: WhyAnswer, style: Style, nowMs: number): string {
  const silence = answer.silent.length === 0 ? '' : `${style.warn(`did not answer: ${answer.silent.join(', ')}`)}\n`;
  const hops = answer.refusals;
  if (hops.length === 0) return `no sidecar knows of a refusal or failure of ${answer.requestId}; each keeps its last 1,000\n${silence}`;
  const decided = answer.decided === null ? null : hops[answer.decided] ?? null;
  const summary = decided === null ? '' : `${summaryLine(wayTo(hops, answer.decided), decided, style, nowMs)}\n`;
  // What decided first; then the way from outside; verdicts in shadow let the request pass.
  const rest = hops.filter((hop) => hop !== decided).sort((a, b) => Number(a.shadow) - Number(b.shadow));
  return summary + [...(decided === null ? [] : [decided]), ...rest].map((hop) => hopText(hop, style, nowMs)).join('') + silence;
}

/** Hops from the outermost to the one that decided. */
function wayTo(hops: readonly Hop[], decided: number | null): Hop[] {
  const way: Hop[] = [];
  for (let at = decided; at !== null && way.length <= hops.length; at = way[0]?.before ?? null) way.unshift(hops[at] as Hop);
  return way;
}

function summaryLine(way: readonly Hop[], decided: Hop, style: Style, nowMs: number): string {
  const nodes = [...new Set(way.map(({ nodeId }) => nodeId))];
  const inbound = decided.side === 'inbound';
  // Whoever handed the request on did so without trouble of its own.
  const path = nodes.map((nodeId, i) => `${style.name(nodeId)}${i === 0 || (inbound && nodeId === decided.nodeId) ? '' : ' (ok)'}`);
  if (!inbound && decided.destination !== '') path.push(style.strong(decided.destination));
  const verdict = decided.reason === '' ? style.bad(passedOnText(decided)) : `${style.bad(`refused by ${decided.nodeId}`)}, snapshot ${decided.snapshot}: ${causeText(decided.cause, nowMs)}`;
  return `${path.join(' → ')}: ${verdict}${fieldText(decided.cause, nowMs)}`;
}

function passedOnText({ tries, side, status, cause, fallback }: Hop): string {
  if (fallback !== '') return `${cause.what}; ${fallback} answered instead`;
  const last = tries.at(-1);
  if (side === 'inbound') return `its app answered ${status} itself`;
  return last === undefined || last.outcome !== 'answered' ? `answered ${status}, not by a sidecar` : `${last.host} answered ${status}, no sidecar refused it`;
}

/** `3 of 3 hosts ejected (consecutive-5xx, 5 of 5, 12 s ago)`. */
function causeText({ what, figures, since }: Cause, nowMs: number): string {
  const facts = [figures, since === null ? '' : ageText(since, nowMs)].filter((fact) => fact !== '');
  return facts.length === 0 ? what : `${what} (${facts.join(', ')})`;
}

/** `, outlierDetection of policy baseline (/outlierDetection/consecutive5xx), revision 39 by ana 14:02`. */
function fieldText({ kind, pointer, policy, revision, author, revisionAt }: Cause, nowMs: number): string {
  // A host that somebody took out is no matter of a policy.
  if (kind === '' || kind === 'host') return '';
  const whose = policy === '' ? `${kind} by default` : `${kind} of policy ${policy}`;
  const field = pointer === '' || pointer === `/${kind}` ? '' : ` (${pointer})`;
  return `, ${whose}${field}${revision === null ? '' : `, revision ${revision} by ${author ?? 'unknown'} ${clockText(revisionAt, nowMs)}`}`;
}

/** The time of the day on this machine's clock, as `explain --at` takes it; with the date where it is not of the last day. */
function clockText(instant: string | null, nowMs: number): string {
  if (instant === null) return '';
  const at = new Date(instant);
  const two = (part: number): string => String(part).padStart(2, '0');
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return nowMs - at.getTime() < dayMs ? clock : `${instant.slice(0, 10)} ${clock}`;
}

// --- one hop --------------------------------------------------------------------------------------------------------

function hopText(hop: Hop, style: Style, nowMs: number): string {
  const head = `${hop.method} ${hop.authority}${hop.path}: ${verdictOf(hop, style)} by ${style.name(hop.nodeId)} (${hop.subject}, ${hop.side}), ${ageText(hop.at, nowMs)}\n`;
  const facts: [string, string][] = [
    ['reason', hop.reason === '' ? '' : `${hop.reason}${hop.responseFlag === '' ? '' : ` (flag ${hop.responseFlag})`}`],
    ['policy', hop.kind === '' ? hop.policy : `${hop.policy === '' ? 'none, the default holds' : hop.policy}, kind ${hop.kind}`],
    ['field', hop.pointer],
    ['revision', editText(hop, nowMs)],
    ['snapshot', `revision ${hop.snapshot} was in force`],
    ['route', hop.route],
    ['destination', hop.destination],
    ['detail', hop.detail],
    ...hop.tries.map((one): [string, string] => ['tried', tryText(one)]),
    ['', hop.triesLeftOut === 0 ? '' : `and ${hop.triesLeftOut} more between`],
    ['no other', noOtherText(hop)],
    ['hosts', hop.hosts === null ? '' : `${hop.hosts.usable} of ${hop.hosts.known} could be used`],
    ...(hop.hosts?.leftOut ?? []).map((one): [string, string] => ['left out', leftOutText(one, hop, nowMs)]),
    ['', hop.hosts === null || hop.hosts.leftOutMore === 0 ? '' : `and ${hop.hosts.leftOutMore} more`],
    ...hop.held.filter(({ host }) => host === '').map((one): [string, string] => ['held', `${one.event}: ${one.detail}, ${ageText(one.since, nowMs)}${troubleField(one, nowMs)}`]),
    ['answered by', hop.fallback],
    ['trace', hop.traceId],
  ];
  return head + facts.filter(([, value]) => value !== '').map(([name, value]) => `    ${name.padEnd(12)}${value}\n`).join('');
}

function verdictOf({ shadow, status, reason, fallback }: Hop, style: Style): string {
  if (shadow) return style.warn('would have been refused (shadow)');
  if (reason === '') return style.warn(fallback === '' ? `${status} passed on` : `${status} in place of a failure, passed on`);
  return style.bad(status === 0 ? 'broken off without an answer' : `refused with ${status}`);
}

function editText({ revision, author, revisionAt, message }: Pick<Hop, 'revision' | 'author' | 'revisionAt' | 'message'>, nowMs: number): string {
  if (revision === null) return '';
  return `${revision} by ${author ?? 'unknown'}, ${ageText(revisionAt, nowMs)}${message === null || message === '' ? '' : `: ${message}`}`;
}

/** `1  10.0.0.7:8080 (payments-3)  answered 503  12 ms`. */
function tryText({ attempt, host, endpoint, outcome, status, grpcStatus, durationMs, detail, pointer, policy }: Hop['tries'][number]): string {
  const where = host === '' ? 'no host' : `${host}${endpoint === '' || endpoint.includes(host) ? '' : ` (${endpoint})`}`;
  const how = outcome === 'answered' ? `answered ${grpcStatus > 0 ? `grpc-status ${grpcStatus}` : status}` : outcome;
  const limit = detail === '' ? '' : `: ${detail}${pointer === '' ? '' : `, ${pointer}`}${policy === '' ? '' : ` of ${policy}`}`;
  return `${attempt}  ${where}  ${how}  ${Math.round(durationMs)} ms${limit}`;
}

function noOtherText({ noFurther }: Hop): string {
  if (noFurther === null) return '';
  const { detail, pointer, policy } = noFurther;
  return `${detail}${pointer === '' ? '' : `, ${pointer} ${policy === '' ? 'by default' : `of ${policy}`}`}`;
}

function leftOutText({ host, endpoint, state, until }: NonNullable<Hop['hosts']>['leftOut'][number], { held }: Hop, nowMs: number): string {
  const trouble = held.find((one) => one.host === host);
  const why = trouble === undefined ? '' : `: ${trouble.detail}, ${ageText(trouble.since, nowMs)}${troubleField(trouble, nowMs)}`;
  return `${host}${endpoint === '' || endpoint.includes(host) ? '' : ` (${endpoint})`}  ${state}${until === null ? '' : ` until ${until}`}${why}`;
}

function troubleField({ kind, pointer, policy, revision, author, revisionAt }: Hop['held'][number], nowMs: number): string {
  return fieldText({ what: '', figures: '', since: null, message: null, kind, pointer, policy, revision, author, revisionAt }, nowMs);
}

const dayMs = 86_400_000;
