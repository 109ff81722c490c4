import { systemClock, type Clock } from '@remora/core/clock';
import { systemRandom, type Random } from '@remora/core/random';
import type { Head, HeaderId } from '@remora/http/head';
import { claimText } from './claim-value.ts';
import { cookieValueAt } from './cookie-values.ts';
import type { Answer, Exchange } from './exchange.ts';
import { knownHeader } from './known-header.ts';
import { queryValueAt } from './query-values.ts';
import { traceIdOf } from './trace-id.ts';
import { formatUuid4 } from './uuid.ts';
import type { TemplatePart, VariableName, VariablePart } from './template.ts';

/**
 * Turns parsed parts into one closure. Per evaluation: no regular expression, no parsing, no map. A missing value is
 * ''. The result has at most `lengthMax` characters; what is beyond is cut. Build it once per snapshot: header names get
 * their ids here.
 */
export function compileTemplate(parts: readonly TemplatePart[], options: TemplateOptions = {}): Evaluator {
  const lengthMax = options.lengthMax ?? valueLengthMax;
  const evaluators = parts.map((part) => compilePart(part, options));
  const [first, second] = evaluators;
  if (first === undefined) return () => '';
  if (second === undefined) return (x, answer) => cut(first(x, answer), lengthMax);
  if (evaluators.length === 2) return (x, answer) => cut(first(x, answer) + second(x, answer), lengthMax);
  return (x, answer) => {
    let text = '';
    for (const read of evaluators) {
      text += read(x, answer);
      if (text.length > lengthMax) return text.slice(0, lengthMax);
    }
    return text;
  };
}

/** `answer` is the answer being made, in the scope `answer`; elsewhere the exchange's refusal is used. */
export type Evaluator = (x: Exchange, answer?: Answer) => string;

export interface TemplateOptions {
  /** Applied to the value of each variable, never to the literal text: JSON, HTML or path escaping. */
  readonly escape?: (value: string) => string;
  /** Characters of the result; 8,192 unless told. */
  readonly lengthMax?: number;
  /** Source of `${uuid}`; the system's unless told. */
  readonly random?: Random;
  /** For `${duration}` before the end. */
  readonly clock?: Clock;
}

export const valueLengthMax = 8192;

/** At most this many values of one header, parameter or cookie are joined. */
const listMax = 64;

function cut(text: string, lengthMax: number): string {
  return text.length > lengthMax ? text.slice(0, lengthMax) : text;
}

function compilePart(part: TemplatePart, options: TemplateOptions): Evaluator {
  if (part.kind === 'text') {
    const text = part.text;
    return () => text;
  }
  const read = compileVariable(part, options);
  const escape = options.escape;
  return escape === undefined ? read : (x, answer) => escape(read(x, answer));
}

/** Reads one variable of an exchange. */
export function compileVariable(part: VariablePart, options: TemplateOptions = {}): Evaluator {
  return readers[part.name](part.argument, options.random ?? systemRandom, options.clock ?? systemClock);
}

type MakeReader = (argument: string, random: Random, clock: Clock) => Evaluator;

const readers: Readonly<Record<VariableName, MakeReader>> = {
  'request.id': () => (x) => x.requestId,
  'request.method': () => (x) => x.head.method,
  'request.scheme': () => (x) => x.head.scheme,
  'request.host': () => (x) => x.askedAuthority ?? x.head.authority,
  'request.path': () => (x) => x.askedPath ?? x.head.path,
  'request.query': () => (x) => x.head.query,
  'request.target': () => (x) => (x.askedPath === null ? x.head.target : x.askedPath + x.head.target.slice(x.head.path.length)),
  'request.protocol': () => (x) => x.head.protocol,
  'path.': (argument) => compilePathVariable(argument),
  'header.': (argument) => compileHeader(argument),
  'query.': (argument) => (x) => joinValues((nth) => queryValueAt(x.head.query, argument, nth)),
  'cookie.': (argument) => (x) => joinValues((nth) => cookieValueAt(x.head, argument, nth)),
  'client.address': () => (x) => x.clientAddress,
  'peer.address': () => (x) => x.connection.peerAddress,
  'caller.service': () => (x) => serviceOf(x.connection.principal),
  'caller.id': () => (x) => x.connection.principal,
  'trace.id': () => traceIdOf,
  'trace.span': () => (x) => (x.trace?.recorded === true ? x.trace.spanId : ''),
  'consumer.name': () => (x) => x.identity?.consumer?.name ?? '',
  'consumer.groups': () => (x) => x.identity?.consumer?.groups.join(',') ?? '',
  'consumer.plan': () => (x) => x.identity?.consumer?.plan ?? '',
  'claim.': (argument) => ({ identity }) => (identity === null || identity.claims === null ? '' : safeText(claimText(identity.claims, argument))),
  route: () => (x) => x.pin.route,
  'route.owner': () => (x) => x.pin.owner,
  side: () => (x) => x.pin.side,
  now: () => compileNow(),
  'now.unix': () => (x) => String(Math.floor(x.startedWallMs / 1000)),
  'now.unixMs': () => (x) => String(Math.floor(x.startedWallMs)),
  uuid: (_, random) => () => formatUuid4(random),
  'config.version': () => (x) => x.pin.configVersion,
  'response.status': () => (x, answer) => String(answer?.status ?? (x.status === 0 ? (x.responseHead?.status ?? 0) : x.status)),
  'grpc.status': () => (x) => (x.grpcStatus < 0 ? '' : String(x.grpcStatus)),
  'response.header.': (argument) => compileResponseHeader(argument),
  'reason.code': () => (x, answer) => (answer ?? x.refusal)?.reason.code ?? '',
  'reason.title': () => (x, answer) => (answer ?? x.refusal)?.reason.title ?? '',
  'reason.flag': () => (x, answer) => (answer ?? x.refusal)?.reason.flag ?? '',
  'reason.detail': () => (x) => x.refusal?.detail ?? '',
  'policy.kind': () => (x) => x.refusal?.kind ?? '',
  'policy.pointer': () => (x) => x.refusal?.pointer ?? '',
  duration: (_, __, clock) => (x) => formatMs((x.endedAt === 0 ? clock.monotonicMs() : x.endedAt) - x.startedAt),
  'duration.head': () => (x) => formatMs(x.answeredAt === 0 ? 0 : x.answeredAt - x.startedAt),
  'bytes.in': () => (x) => String(x.bytesIn),
  'bytes.out': () => (x) => String(x.bytesOut),
  'messages.in': () => (x) => (x.messagesIn < 0 ? '' : String(x.messagesIn)),
  'messages.out': () => (x) => (x.messagesOut < 0 ? '' : String(x.messagesOut)),
  attempts: () => (x) => String(x.attempts),
  upstream: () => (x) => x.upstream,
  'upstream.path': () => (x) => (x.askedPath === null ? '' : x.head.path),
  destination: () => (x) => x.destination,
  fallback: () => (x) => x.fallback,
};

/** `web` of `spiffe://shop.example/service/web`. */
function serviceOf(principal: string): string {
  const at = principal.indexOf('/', spiffeScheme.length);
  return at > 0 && principal.startsWith(servicePath, at) ? principal.slice(at + servicePath.length) : '';
}

const spiffeScheme = 'spiffe://';
const servicePath = '/service/';

/** What an issuer says may hold what no header, log line or key may. */
function safeText(text: string): string {
  // oxlint-disable-next-line no-control-regex -- these are what is taken out.
  return /[\0-\x1f\x7f]/.test(text) ? text.replaceAll(/[\0-\x1f\x7f]/g, ' ') : text;
}

/** The names of a route's variables are one array for all its requests: the position is looked up once per array. */
function compilePathVariable(name: string): Evaluator {
  let names: readonly string[] | null = null;
  let position = -1;
  return (x) => {
    if (x.pathNames !== names) {
      names = x.pathNames;
      position = names.indexOf(name);
    }
    return position < 0 ? '' : (x.pathValues[position] ?? '');
  };
}

function compileHeader(name: string): Evaluator {
  const id = knownHeader(name, '');
  return (x) => joinHeader(x.head, id);
}

function compileResponseHeader(name: string): Evaluator {
  const id = knownHeader(name, '');
  return (x) => (x.responseHead === null ? '' : joinHeader(x.responseHead, id));
}

function joinHeader(head: Head, id: HeaderId): string {
  const count = Math.min(head.count(id), listMax);
  if (count === 0) return '';
  let text = head.valueAt(id, 0);
  for (let nth = 1; nth < count; nth++) text += `,${head.valueAt(id, nth)}`;
  return text;
}

function joinValues(valueAt: (nth: number) => string | null): string {
  let text = valueAt(0);
  if (text === null) return '';
  for (let nth = 1; nth < listMax; nth++) {
    const value = valueAt(nth);
    if (value === null) break;
    text += `,${value}`;
  }
  return text;
}

/** Many requests share a second: the text up to it is kept. */
function compileNow(): Evaluator {
  let second = Number.NaN;
  let stem = '';
  return (x) => {
    const ms = Math.floor(x.startedWallMs);
    const whole = Math.floor(ms / 1000);
    if (whole !== second) {
      second = whole;
      stem = new Date(whole * 1000).toISOString().slice(0, 20);
    }
    return stem + (millisecondTexts[ms - whole * 1000] ?? '000Z');
  };
}

const millisecondTexts: readonly string[] = Array.from({ length: 1000 }, (_, ms) => `${String(ms).padStart(3, '0')}Z`);
const fractionTexts: readonly string[] = Array.from({ length: 1000 }, (_, n) => (n === 0 ? '' : `.${String(n).padStart(3, '0').replace(/0+$/, '')}`));

/** Milliseconds with at most three digits after the point; never negative. Faster than the text of a fraction. */
export function formatMs(ms: number): string {
  const micros = ms > 0 ? Math.round(ms * 1000) : 0;
  const whole = Math.floor(micros / 1000);
  return whole + (fractionTexts[micros - whole * 1000] ?? '');
}
