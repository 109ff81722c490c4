import { METHODS } from 'node:http';
import type { Disturbance } from '../undisturbed.ts';
import type { ReadAnswer, ReadAnswers } from './answer-reader.ts';
import { headerOf } from './answer-reader.ts';
import type { Conversation } from './conversation.ts';
import { digest, echoBody, type SeenRequest } from './echo-upstream.ts';
import { conserved, type Plan } from './plan.ts';

/** Everything that is known of one conversation when it is over. */
export interface Outcome {
  readonly conversation: Conversation;
  readonly plan: Plan;
  readonly read: ReadAnswers;
  readonly ended: 'end' | 'reset';
  readonly complete: readonly SeenRequest[];
  readonly begun: readonly string[];
}

/** '' where all oracles hold; else which does not, and how. */
export function judgeOutcome(outcome: Outcome): string {
  return unreadable(outcome) || order(outcome) || missing(outcome) || blamed(outcome) || refusals(outcome) || reached(outcome) || conservation(outcome) || validity(outcome);
}

/** '' where a second run under other tokens and with other segments came to the same: statuses, reasons, which request each answer is for, what reached the upstream. */
export function differentOutcome(first: Outcome, second: Outcome): string {
  const [one, other] = [stepsOf(first), stepsOf(second)];
  const [fewer, more] = one.length < other.length ? [first, second] : [second, first];
  if (one.length !== other.length && !overtaken(fewer) && !unfinished(fewer, more)) return `${one.length} | ${other.length} answers: ${one.join(', ')} | ${other.join(', ')}`;
  for (const [i, step] of one.slice(0, other.length).entries()) if (step !== other[i]) return `answer ${i}: ${step} | ${other[i]}`;
  const reached = [textOf(first), textOf(second)] as const;
  for (let i = 0; i < Math.min(reached[0].length, reached[1].length); i++) if (reached[0][i] !== reached[1][i]) return `request ${i} at the upstream: ${reached[0][i]} | ${reached[1][i]}`;
  return '';
}

/** The upstream broke off while the request was under way: whether that is told before the body has come, which ends the connection, is a matter of time. */
function overtaken({ read }: Outcome): boolean {
  const last = read.answers.at(-1);
  return last !== undefined && last.status === 502 && isRefusal(last) && headerOf(last, 'connection') === 'close';
}

/** The same of a request whose body never came whole: the end of the client's side may come before the upstream's break, and then nothing is answered. */
function unfinished(fewer: Outcome, more: Outcome): boolean {
  const [last] = more.read.answers.slice(-1);
  return fewer.plan.end === 'incomplete' && fewer.read.answers.length === fewer.plan.requests.length && more.read.answers.length === fewer.plan.requests.length + 1
    && last?.status === 502 && isRefusal(last);
}

/** What the gateway did for overload alone, as far as this conversation shows it. The last request comes with the end of the client's side, which is a reason to end ours. */
export function disturbanceOf({ plan, read }: Outcome): Disturbance {
  const unasked = read.answers.some((answer, n) => !isRefusal(answer) && headerOf(answer, 'connection') === 'close' && n < plan.requests.length - 1 && plan.requests[n]?.last === false);
  return { sheds: read.answers.filter(isShed).length, endsKeepAlive: unasked };
}

function stepsOf({ conversation, read }: Outcome): string[] {
  return read.answers.map((answer) => [answer.status, headerOf(answer, 'x-remora-reason'), tailOf(conversation, headerOf(answer, 'x-token')), answer.complete].join(' '));
}

function textOf({ conversation, complete }: Outcome): string[] {
  return complete.map(({ token, method, headers, body }) => [tailOf(conversation, token), method, headers.map(([name]) => name).filter((name) => !volatile.has(name)).toSorted().join(' '), body.length].join(' '));
}

/** Tokens that were spoiled may be other ones in each run. */
function tailOf({ valid }: Conversation, token: string): string {
  return valid ? token.slice(8) : '';
}

/** Only some runs have these: they depend on time. */
const volatile: ReadonlySet<string> = new Set(['x-remora-deadline']);

function unreadable({ read }: Outcome): string {
  return read.unreadable === '' ? '' : `the client cannot read the answer: ${JSON.stringify(read.unreadable)}`;
}

/** The n-th answer is the n-th request's: its token, its body. Nothing else has an answer. */
function order({ plan, read }: Outcome): string {
  for (const [n, answer] of read.answers.entries()) {
    if (isRefusal(answer)) continue;
    const request = plan.requests[n];
    if (request === undefined) return `answer ${n} from the upstream (${answer.status}), but only ${plan.requests.length} requests were read`;
    const token = headerOf(answer, 'x-token');
    if (token !== request.token) return `answer ${n} is for ${token}, the request was ${request.token}`;
    const body = request.method === 'HEAD' ? '' : echoBody(token) ?? '';
    if (answer.complete && answer.body !== body) return `answer ${n} has another body than the upstream sent: ${JSON.stringify(answer.body.slice(0, 100))}`;
    if (headerOf(answer, 'x-read') !== digest(request.body)) return `request ${n} reached the upstream with another body`;
    if (answer.headers.filter(([name]) => name === 'x-twice').map(([, value]) => value).join() !== 'a,b') return `answer ${n} lost a header`;
  }
  return '';
}

/** A refusal that closes is the last answer; what was not read is refused, or the connection ends. */
function refusals({ plan, read }: Outcome): string {
  const closing = read.answers.findIndex((answer) => headerOf(answer, 'connection') === 'close');
  if (closing >= 0 && closing < read.answers.length - 1) return `answer ${closing} said close, ${read.answers.length} answers came`;
  if (read.answers.length > plan.requests.length + (plan.end === 'refused' || plan.end === 'incomplete' ? 1 : 0)) return `${read.answers.length} answers to ${plan.requests.length} requests`;
  const beyond = read.answers[plan.requests.length];
  return beyond !== undefined && !isRefusal(beyond) ? `what was not a request got ${beyond.status} from the upstream` : '';
}

/** After a refusal nothing reached the upstream: neither the request nor what followed it. */
function reached({ conversation, read, complete, begun, ended }: Outcome): string {
  // Tokens that were spoiled cannot be told from those of others.
  const answered = read.answers.filter((answer) => !isRefusal(answer)).map((answer) => headerOf(answer, 'x-token')).filter((token) => token.startsWith(conversation.prefix));
  const arrived = complete.map(({ token }) => token);
  const same = ended === 'end' ? answered.join() === arrived.join() : arrived.join().startsWith(answered.join());
  if (!same && read.answers.every(({ complete: whole }) => whole)) return `answers to ${answered.join() || 'nothing'}, but the upstream read ${arrived.join() || 'nothing'}`;
  // One request may have begun before its body turned out to be wrong.
  if (begun.length > complete.length + 1) return `${begun.length} requests began at the upstream, ${complete.length} came whole`;
  return '';
}

function conservation({ plan, complete }: Outcome): string {
  const waiting = [...plan.requests];
  for (const seen of complete) {
    // A spoiled pipeline may have a request twice.
    const at = waiting.findIndex(({ token }) => token === seen.token);
    const sent = at < 0 ? undefined : waiting.splice(0, at + 1).at(-1);
    if (sent === undefined) return `the upstream read ${seen.token}, which nobody sent`;
    const [before, after] = [conserved(sent.headers), conserved(seen.headers)];
    if (before !== after) return `headers of ${seen.token} changed: ${JSON.stringify(before)} | ${JSON.stringify(after)}`;
    if (sent.body !== seen.body || sent.method !== seen.method) return `method or body of ${seen.token} changed`;
  }
  return '';
}

/** Every request that was read has an answer, unless one before it ended the connection: a refusal, its own wish, a body that broke off. */
function missing({ plan, read, ended }: Outcome): string {
  const n = read.answers.length;
  const before = read.answers.at(-1);
  if (n >= plan.requests.length || (before !== undefined && (!before.complete || headerOf(before, 'connection') === 'close'))) return '';
  return `no answer to request ${n} (${plan.requests[n]?.method} ${plan.requests[n]?.token}), the connection ended ${ended === 'end' ? 'in an orderly way' : 'with a reset'}`;
}

/** The upstream answers whatever it reads, at once: there is nothing to wait for, nor a reason to give up, but for methods that Node does not know. */
function blamed({ plan, read }: Outcome): string {
  const n = read.answers.findIndex((answer, i) => isRefusal(answer) && answer.status >= 502 && answer.status <= 504 && METHODS.includes(plan.requests[i]?.method ?? ''));
  return n < 0 ? '' : `request ${n} got ${read.answers[n]?.status} ${headerOf(read.answers[n] as ReadAnswer, 'x-remora-reason')} from an upstream that answers it`;
}

/** What was not spoiled is served. */
function validity({ conversation, plan, read }: Outcome): string {
  if (!conversation.valid) return '';
  if (plan.end !== 'nothing' && plan.end !== 'closed') return `valid requests are read as ${plan.end}`;
  for (const [n, answer] of read.answers.entries()) {
    const expectation = conversation.requests[n]?.fields.some(([name]) => name === 'Expect') ?? false;
    if (isRefusal(answer) && !(answer.status === 417 && expectation)) return `valid request ${n} got ${answer.status} ${headerOf(answer, 'x-remora-reason')}`;
  }
  return '';
}

/** The gateway has more to do than it can (see Undisturbed). */
export function isShed(answer: Pick<ReadAnswer, 'status' | 'headers'>): boolean {
  return answer.status === 503 && answer.headers.some(([name, value]) => name === 'x-remora-reason' && value === 'overload');
}

export function isRefusal(answer: ReadAnswer): boolean {
  return headerOf(answer, 'x-remora-origin') === 'remora';
}
