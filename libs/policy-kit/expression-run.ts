import type { Json } from '@remora/core/canonical-json';
import { callerService } from './caller-service.ts';
import type { Exchange } from './exchange.ts';
import { exhausted, expressionCalls, mismatch, type Budget } from './expression-calls.ts';
import { expressionLimits } from './expression-limits.ts';
import { ExpressionFailure, Instant, isList, isMap, type ExpressionValue } from './expression-values.ts';
import { knownHeader } from './known-header.ts';
import { queryValueAt } from './query-values.ts';
import { compileRegex, undecided } from './regex.ts';
import { WireError } from './runtime-kind.ts';

/**
 * Whether an expression holds for a request; a failure says why it has no answer, and whoever asked must then deny. Never throws, never waits, takes at
 * most `expressionLimits.stepsMax` steps.
 */
export type ExpressionTest = (x: Exchange) => boolean | ExpressionFailure;

/**
 * Makes closures of a program of `compileExpression`, once per snapshot; bounds are checked again. `domain`: the trust domain in which `caller.service` is
 * a name. Throws WireError.
 */
export function buildExpression(program: string, pointer: string, domain: { get(): string }): ExpressionTest {
  if (program.length > programMax) throw new WireError(pointer, 'too-long', 'the expression is larger than accepted');
  let tree: unknown;
  try {
    tree = JSON.parse(program);
  } catch {
    throw new WireError(pointer, 'malformed-message', 'the expression is no program');
  }
  const builder = new Builder(pointer, domain);
  const { run } = builder.build(tree, 0, 0);
  const state = builder.state;
  return (x) => {
    state.x = x;
    state.steps = 0;
    const value = run(state);
    state.x = noExchange;
    state.places.fill(null);
    return typeof value === 'boolean' || value instanceof ExpressionFailure ? value : mismatch;
  };
}

const programMax = 64 * 1024;

/** One per expression: it is evaluated from begin to end in one go. */
interface RunState extends Budget {
  x: Exchange;
  readonly places: ExpressionValue[];
  readonly domain: { get(): string };
}

type Part = (state: RunState) => ExpressionValue;

interface Built {
  readonly run: Part;
  /** The same for every request: computed once. */
  readonly constant: boolean;
  readonly nodes: number;
}

const noExchange = null as unknown as Exchange;
const noClaims: Readonly<Record<string, Json>> = Object.freeze(Object.create(null) as Record<string, Json>);
const noEntries: readonly string[] = Object.freeze([]);
const valuesMax = 64;
const tooMany = new ExpressionFailure(`a header or parameter has more than ${valuesMax} values`);
const notThere = new ExpressionFailure('there is no such entry');
const patternUndecided = new ExpressionFailure('a text is too long for its pattern');

const variables: Readonly<Record<string, Part>> = {
  'request.method': ({ x }) => x.head.method,
  'request.path': ({ x }) => x.askedPath ?? x.head.path,
  'request.host': ({ x }) => x.askedAuthority ?? x.head.authority,
  'request.scheme': ({ x }) => x.head.scheme,
  'connection.address': ({ x }) => x.clientAddress,
  'caller.id': ({ x }) => x.connection.principal,
  'caller.service': ({ x, domain }) => callerService(x.connection.principal, domain.get()),
  'consumer.name': ({ x }) => x.identity?.consumer?.name ?? '',
  'consumer.groups': ({ x }) => x.identity?.consumer?.groups ?? noEntries,
  'consumer.plan': ({ x }) => x.identity?.consumer?.plan ?? '',
  claims: ({ x }) => x.identity?.claims ?? noClaims,
  scopes: ({ x }) => x.identity?.scopes ?? noEntries,
  now: ({ x }) => new Instant(x.startedWallMs),
};

class Builder {
  readonly state: RunState;
  readonly #pointer: string;
  #nodes = 0;
  #patterns = 0;

  constructor(pointer: string, domain: { get(): string }) {
    this.#pointer = pointer;
    const state: RunState = { x: noExchange, domain, steps: 0, places: [], spend: (steps) => (state.steps += steps) <= expressionLimits.stepsMax };
    this.state = state;
  }

  build(node: unknown, depth: number, loops: number): Built {
    if (!Array.isArray(node) || depth > expressionLimits.depthMax + 1 || ++this.#nodes > expressionLimits.nodesMax) return this.#bad();
    const [op, ...rest] = node as readonly unknown[];
    const before = this.#nodes;
    const part = (at: number): Built => this.build(rest[at], depth + 1, loops);
    const made = ((): Omit<Built, 'nodes'> => {
      switch (op) {
        case 'constant':
          return this.#constant(rest[0]);
        case 'variable':
          return varying(this.#known(variables, rest[0]));
        case 'header':
        case 'hasHeader':
          return varying(this.#header(this.#text(rest[0]), op === 'hasHeader'));
        case 'query':
        case 'hasQuery':
          return varying(queryReader(this.#text(rest[0]), op === 'hasQuery'));
        case 'local':
          return varying(this.#local(rest[0]));
        case 'select':
        case 'has':
          return varying(field(part(0).run, this.#text(rest[1]), op === 'has'));
        case 'matches':
          return varying(this.#matches(part(0).run, this.#text(rest[1])));
        case 'and':
          return varying(both(part(0).run, part(1).run));
        case 'or':
          return varying(either(part(0).run, part(1).run));
        case 'if':
          return varying(conditional(part(0).run, part(1).run, part(2).run));
        case 'list':
          return this.#list(rest.map((_, i) => part(i)));
        case 'call':
          return this.#call(this.#text(rest[0]), rest.slice(1).map((_, i) => part(i + 1)));
        case 'loop':
          return varying(this.#loop(rest, depth, loops));
        default:
          return this.#bad();
      }
    })();
    return { ...made, nodes: this.#nodes - before + 1 };
  }

  #bad(): never {
    throw new WireError(this.#pointer, 'malformed-message', 'the expression is no program of this build');
  }

  #text(value: unknown): string {
    return typeof value === 'string' ? value : this.#bad();
  }

  #known<T>(table: Readonly<Record<string, T>>, name: unknown): T {
    const found = typeof name === 'string' && Object.hasOwn(table, name) ? table[name] : undefined;
    return found ?? this.#bad();
  }

  #constant(value: unknown): Omit<Built, 'nodes'> {
    if (value === null || typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number') return { run: () => value, constant: true };
    return this.#bad();
  }

  #place(value: unknown): number {
    return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < expressionLimits.nodesMax ? value : this.#bad();
  }

  #local(value: unknown): Part {
    const place = this.#place(value);
    return ({ places }) => places[place] ?? null;
  }

  #header(name: string, presence: boolean): Part {
    const id = knownHeader(name, this.#pointer);
    if (presence) return ({ x }) => x.head.has(id);
    return ({ x: { head } }) => {
      const count = head.count(id);
      if (count === 0) return noEntries;
      if (count > valuesMax) return tooMany;
      const values: string[] = [];
      for (let nth = 0; nth < count; nth += 1) values.push(head.valueAt(id, nth));
      return values;
    };
  }

  #matches(text: Part, pattern: string): Part {
    const regex = compileRegex(`(?s:.*)(?:${pattern})(?s:.*)`);
    if (typeof regex === 'string' || ++this.#patterns > expressionLimits.patternsMax) return this.#bad();
    return (state) => {
      const value = text(state);
      if (typeof value !== 'string') return value instanceof ExpressionFailure ? value : mismatch;
      if (!state.spend(1 + (value.length >>> 2))) return exhausted;
      const verdict = regex.test(value);
      return verdict === undecided ? patternUndecided : verdict;
    };
  }

  #list(entries: readonly Built[]): Omit<Built, 'nodes'> {
    const runs = entries.map(({ run }) => run);
    const list: Part = (state) => {
      const values: ExpressionValue[] = [];
      for (const run of runs) {
        const value = run(state);
        if (value instanceof ExpressionFailure) return value;
        values.push(value);
      }
      return values;
    };
    return entries.every(({ constant }) => constant) ? folded(list, this.state) : { run: list, constant: false };
  }

  #call(name: string, args: readonly Built[]): Omit<Built, 'nodes'> {
    const call = expressionCalls.get(name);
    if (call === undefined || args.length === 0 || args.length > 2) return this.#bad();
    const within = name === '@in' && args[1]?.constant === true ? args[1].run(this.state) : null;
    const [first, second] = args.map(({ run }) => run);
    if (first !== undefined && within !== null && isList(within) && within.every((one) => typeof one === 'string')) return varying(inTexts(first, new Set(within)));
    const run: Part = (state) => {
      const a = first?.(state) ?? null;
      // Only `@not_strictly_false` takes a failure for a value.
      if (a instanceof ExpressionFailure && name !== '@not_strictly_false') return a;
      if (second === undefined) return call([a], state);
      const b = second(state);
      return b instanceof ExpressionFailure ? b : call([a, b], state);
    };
    return args.every(({ constant }) => constant) ? folded(run, this.state) : { run, constant: false };
  }

  #loop(rest: readonly unknown[], depth: number, loops: number): Part {
    if (loops >= expressionLimits.loopsMax) return this.#bad();
    const [item, result] = [this.#place(rest[0]), this.#place(rest[1])];
    const range = this.build(rest[2], depth + 1, loops).run;
    const first = this.build(rest[3], depth + 1, loops).run;
    const condition = this.build(rest[4], depth + 1, loops + 1);
    const step = this.build(rest[5], depth + 1, loops + 1);
    const outcome = this.build(rest[6], depth + 1, loops).run;
    const cost = condition.nodes + step.nodes;
    return (state) => {
      const over = range(state);
      const entries = isList(over) ? over : isMap(over) ? Object.keys(over) : null;
      if (entries === null) return over instanceof ExpressionFailure ? over : mismatch;
      state.places[result] = first(state);
      for (const entry of entries) {
        if (!state.spend(cost)) return exhausted;
        state.places[item] = entry;
        if (condition.run(state) === false) break;
        state.places[result] = step.run(state);
      }
      return outcome(state);
    };
  }
}

function varying(run: Part): Omit<Built, 'nodes'> {
  return { run, constant: false };
}

/** Computed now; what fails now fails at each request too. */
function folded(run: Part, state: RunState): Omit<Built, 'nodes'> {
  const value = run(state);
  state.steps = 0;
  return { run: () => value, constant: !(value instanceof ExpressionFailure) };
}

function queryReader(name: string, presence: boolean): Part {
  if (presence) return ({ x }) => queryValueAt(x.head.query, name, 0) !== null;
  return ({ x: { head } }) => {
    const values: string[] = [];
    for (let nth = 0; nth <= valuesMax; nth += 1) {
      const value = queryValueAt(head.query, name, nth);
      if (value === null) return values;
      values.push(value);
    }
    return tooMany;
  };
}

function field(of: Part, name: string, presence: boolean): Part {
  return (state) => {
    const value = of(state);
    if (!isMap(value)) return value instanceof ExpressionFailure ? value : mismatch;
    const there = Object.hasOwn(value, name);
    if (presence) return there;
    return there ? (value[name] ?? null) : notThere;
  };
}

function inTexts(item: Part, texts: ReadonlySet<ExpressionValue>): Part {
  return (state) => {
    const value = item(state);
    return value instanceof ExpressionFailure ? value : texts.has(value);
  };
}

/** Either side alone can decide, whatever is wrong with the other. */
function both(left: Part, right: Part): Part {
  return (state) => {
    const a = left(state);
    if (a === false) return false;
    const b = right(state);
    if (b === false) return false;
    return a === true && b === true ? true : a instanceof ExpressionFailure ? a : b instanceof ExpressionFailure ? b : mismatch;
  };
}

function either(left: Part, right: Part): Part {
  return (state) => {
    const a = left(state);
    if (a === true) return true;
    const b = right(state);
    if (b === true) return true;
    return a === false && b === false ? false : a instanceof ExpressionFailure ? a : b instanceof ExpressionFailure ? b : mismatch;
  };
}

function conditional(condition: Part, yes: Part, no: Part): Part {
  return (state) => {
    const value = condition(state);
    if (value === true) return yes(state);
    return value === false ? no(state) : value instanceof ExpressionFailure ? value : mismatch;
  };
}

