import { internHeaderName } from '@remora/http/header-ids';
import { callerProblem, fitsCaller, readCallerPattern } from './caller-pattern.ts';
import type { Exchange } from './exchange.ts';
import { OwnTrustDomain } from './own-trust-domain.ts';
import { WireError, type FilterContext } from './runtime-kind.ts';
import { boundedList, boundedText, oneWord, wireHeaderName } from './wire-check.ts';

/**
 * `match` of a named entry at run time: which requests the entry is about. Every condition must hold; within one, any
 * of its alternatives. An entry without conditions is about every request.
 */
export interface EntryMatch {
  readonly methods: readonly string[];
  /** Exact (`/a/b`), or a prefix on segment borders (`/a/*`). */
  readonly paths: readonly string[];
  readonly headers: readonly HeaderCondition[];
  /** Callers of the mesh, by their certificate: see `CallerPattern`. */
  readonly callers: readonly string[];
  /** Names of Consumers; `*`: any. Known once `authentication` has decided. */
  readonly consumers: readonly string[];
}

export interface HeaderCondition {
  /** Lower case. */
  readonly name: string;
  readonly mode: HeaderMode;
  /** For `exact` and `prefix`. */
  readonly value: string;
}

export type HeaderMode = 'exact' | 'prefix' | 'present' | 'absent';

/** The same as a wire message of any kind that carries it. */
export interface EntryMatchMessage {
  methods: string[];
  paths: string[];
  headers: { name: string; mode: string; value: string }[];
  /** Of kinds that take them. */
  callers?: string[];
  consumers?: string[];
}

export const entryMatchMax = { methods: 16, paths: 64, headers: 16, callers: 64, consumers: 64 } as const;
const headerModes: readonly HeaderMode[] = ['exact', 'prefix', 'present', 'absent'];
const everything: EntryMatch = Object.freeze({ methods: [], paths: [], headers: [], callers: [], consumers: [] });

/** Checks the bounds again. Throws WireError. */
export function readEntryMatch(message: EntryMatchMessage | undefined, pointer: string): EntryMatch {
  if (message === undefined) return everything;
  return Object.freeze({
    methods: boundedList(message.methods, `${pointer}/methods`, entryMatchMax.methods).map((method) => boundedText(method, `${pointer}/methods`, 32, /^[A-Z][A-Z-]*$/)),
    paths: boundedList(message.paths, `${pointer}/paths`, entryMatchMax.paths).map((path) => boundedText(path, `${pointer}/paths`, 1024, /^\//)),
    headers: boundedList(message.headers, `${pointer}/headers`, entryMatchMax.headers).map((condition) => ({
      name: wireHeaderName(condition.name, `${pointer}/headers`),
      mode: oneWord(condition.mode, `${pointer}/headers/${condition.name}`, headerModes),
      value: boundedText(condition.value, `${pointer}/headers/${condition.name}`, 4096),
    })),
    callers: boundedList(message.callers ?? [], `${pointer}/callers`, entryMatchMax.callers).map((caller) => readCaller(caller, `${pointer}/callers`)),
    consumers: boundedList(message.consumers ?? [], `${pointer}/consumers`, entryMatchMax.consumers).map((name) => boundedText(name, `${pointer}/consumers`, 63, /^(?:\*|[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)$/)),
  });
}

function readCaller(text: string, pointer: string): string {
  const problem = callerProblem(text);
  if (problem !== null) throw new WireError(pointer, 'invalid-caller', `${JSON.stringify(text.slice(0, 80))} ${problem}`);
  return text;
}

/** Whether an entry asks who the request is from. */
export function asksWho({ callers = [], consumers = [] }: Partial<Pick<EntryMatch, 'callers' | 'consumers'>>): boolean {
  return callers.length > 0 || consumers.length > 0;
}

export type ExchangeTest = (x: Exchange) => boolean;

/** One closure per snapshot; null where every request matches. */
export function buildEntryMatch(match: EntryMatch, context: Pick<FilterContext, 'facts'>): ExchangeTest | null {
  const tests = [methodTest(match.methods), pathTest(match.paths), ...match.headers.map(headerTest), callerTest(match.callers, context), consumerTest(match.consumers)].filter((test) => test !== null);
  const [first, second] = tests;
  if (first === undefined) return null;
  if (second === undefined) return first;
  return (x) => {
    for (const test of tests) if (!test(x)) return false;
    return true;
  };
}

function methodTest(methods: readonly string[]): ExchangeTest | null {
  const [only] = methods;
  if (only === undefined) return null;
  if (methods.length === 1) return (x) => x.head.method === only;
  const set = new Set(methods);
  return (x) => set.has(x.head.method);
}

function pathTest(paths: readonly string[]): ExchangeTest | null {
  if (paths.length === 0) return null;
  const exact = new Set(paths.filter((path) => !path.endsWith('/*')));
  const prefixes = paths.filter((path) => path.endsWith('/*')).map((path) => path.slice(0, -1));
  return ({ head }) => {
    if (exact.has(head.path)) return true;
    for (const prefix of prefixes) {
      if (head.path.startsWith(prefix) || (head.path.length === prefix.length - 1 && prefix.startsWith(head.path))) return true;
    }
    return false;
  };
}

/** An id in a certificate that an authority from outside vouches for is no caller of the mesh. */
function callerTest(callers: readonly string[], context: Pick<FilterContext, 'facts'>): ExchangeTest | null {
  if (callers.length === 0) return null;
  const patterns = callers.map(readCallerPattern);
  const domain = new OwnTrustDomain(context.facts('identity'));
  return ({ connection }) => {
    if (connection.principal === '' || connection.clientCertificate !== undefined) return false;
    const own = domain.get();
    for (const pattern of patterns) if (fitsCaller(pattern, connection.principal, own)) return true;
    return false;
  };
}

function consumerTest(consumers: readonly string[]): ExchangeTest | null {
  if (consumers.length === 0) return null;
  const names = consumers.includes('*') ? null : new Set(consumers);
  return ({ identity }) => {
    const consumer = identity?.consumer ?? null;
    return consumer !== null && (names === null || names.has(consumer.name));
  };
}

/** A condition on a header looks at all its values (CVE-2020-25017). */
function headerTest(condition: HeaderCondition): ExchangeTest {
  const id = internHeaderName(condition.name);
  if (id === 0) throw new WireError(`/headers/${condition.name}`, 'too-many', 'the table of header names is full');
  const { value } = condition;
  switch (condition.mode) {
    case 'present': return (x) => x.head.has(id);
    case 'absent': return (x) => !x.head.has(id);
    case 'exact': return (x) => anyValue(x, id, (found) => found === value);
    case 'prefix': return (x) => anyValue(x, id, (found) => found.startsWith(value));
  }
}

function anyValue({ head }: Exchange, id: number, test: (value: string) => boolean): boolean {
  if (!head.has(id)) return false;
  const count = head.count(id);
  for (let nth = 0; nth < count; nth += 1) if (test(head.valueAt(id, nth))) return true;
  return false;
}
