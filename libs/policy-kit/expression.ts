import { parse } from '@bufbuild/cel';
import { suggest } from '@remora/core/suggest';
import type { Violation } from '@remora/core/violation';
import { byLiteralName, literalText, namespaces, variablePath, type VariablePath } from './expression-path.ts';
import { expressionLimits } from './expression-limits.ts';
import type { ExpressionNode } from './expression-node.ts';
import { expressionFunctions, expressionMethods, expressionVariables, fits, joined, typeName, type ExpressionType, type Overload } from './expression-types.ts';
import { checkRegex } from './regex.ts';

/**
 * Parses and type-checks an expression of CEL (the Common Expression Language) that answers true or false. Pure; for the control plane: sidecars get
 * `program`. Unsigned integers, bytes, messages and map literals are not part of it.
 */
export function checkExpression(text: string): ExpressionResult {
  if (text.length > expressionLimits.textMax) return fail('too-long', 0, `An expression has at most ${expressionLimits.textMax} characters.`);
  const bracket = tooDeepAt(text);
  if (bracket >= 0) return fail('too-deep', bracket, `Brackets may be ${bracketsMax} deep.`);
  const parsed = parseText(text);
  if ('ok' in parsed) return parsed;
  try {
    const checker = new Checker(parsed.sourceInfo?.positions ?? {});
    const { node, type } = checker.check(parsed.expr, noScope, 0);
    if (!fits(type, 'bool')) return fail('wrong-type', 0, `The expression answers ${typeName(type)}, it must answer bool.`);
    return { ok: true, program: JSON.stringify(node) };
  } catch (error) {
    if (error instanceof CheckError) return fail(error.code, error.offset, error.message, error.suggestion);
    throw error;
  }
}

export type ExpressionResult = { readonly ok: true; readonly program: string } | ExpressionProblem;

export interface ExpressionProblem {
  readonly ok: false;
  /** `bad-expression`, `unknown-name`, `wrong-type`, `not-available`, `too-long`, `too-deep`, `too-costly`. */
  readonly code: string;
  /** One sentence for a person. */
  readonly error: string;
  /** Place in the text, in UTF-16 units from 0. */
  readonly offset: number;
  readonly suggestion?: string;
}

/** What is wrong with an expression as a violation at `pointer`; null where nothing is. */
export function expressionViolation(pointer: string, text: string): Violation | null {
  const result = checkExpression(text);
  if (result.ok) return null;
  const violation = { pointer, code: result.code, message: `${result.error} (at character ${result.offset + 1})` };
  return result.suggestion === undefined ? violation : { ...violation, suggestion: result.suggestion };
}

/** For `compile`, of an expression that was checked. */
export function compileExpression(text: string): string {
  const result = checkExpression(text);
  if (!result.ok) throw new Error(`invariant: an expression that was not checked: ${result.error}`);
  return result.program;
}

type Expr = NonNullable<ReturnType<typeof parse>['expr']>;
type Parsed = ReturnType<typeof parse>;

function fail(code: string, offset: number, error: string, suggestion?: string): ExpressionProblem {
  return suggestion === undefined ? { ok: false, code, error, offset } : { ok: false, code, error, offset, suggestion };
}

const bracketsMax = 24;

/** The parser is recursive: where brackets are deeper than accepted; -1 where they are not. Brackets in texts count too. */
function tooDeepAt(text: string): number {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x28 || code === 0x5b || code === 0x7b) depth += 1;
    else if (code === 0x29 || code === 0x5d || code === 0x7d) depth -= 1;
    if (depth > bracketsMax) return at;
  }
  return -1;
}

function parseText(text: string): Parsed | ExpressionProblem {
  try {
    return parse(text);
  } catch (error) {
    const { location, message } = error as { location?: { start?: { offset?: number } }; message?: string };
    return fail('bad-expression', location?.start?.offset ?? 0, `Not an expression of CEL: ${(message ?? '').replace(/^.*?:\d+:\d+: /s, '').slice(0, 200)}.`);
  }
}

class CheckError extends Error {
  readonly code: string;
  readonly offset: number;
  readonly suggestion: string | undefined;

  constructor(code: string, offset: number, message: string, suggestion?: string) {
    super(message);
    this.code = code;
    this.offset = offset;
    this.suggestion = suggestion;
  }
}

interface Local {
  readonly type: ExpressionType;
  readonly place: number;
}

interface Scope {
  readonly locals: ReadonlyMap<string, Local>;
  readonly loops: number;
}

interface Checked {
  readonly node: ExpressionNode;
  readonly type: ExpressionType;
}

const noScope: Scope = { locals: new Map(), loops: 0 };

class Checker {
  readonly #positions: Readonly<Record<string, number>>;
  #nodes = 0;
  #patterns = 0;
  #places = 0;

  constructor(positions: Readonly<Record<string, number>>) {
    this.#positions = positions;
  }

  check(expr: Expr | undefined, scope: Scope, depth: number): Checked {
    if (expr === undefined) throw new CheckError('bad-expression', 0, 'Something is missing.');
    if (depth > expressionLimits.depthMax) this.#fail(expr, 'too-deep', `An expression is at most ${expressionLimits.depthMax} deep.`);
    if (++this.#nodes > expressionLimits.nodesMax) this.#fail(expr, 'too-costly', `An expression has at most ${expressionLimits.nodesMax} parts, macros written out.`);
    const variable = variablePath(expr, scope.locals);
    if (variable !== null) return this.#variable(expr, variable);
    const { exprKind } = expr;
    switch (exprKind.case) {
      case 'constExpr':
        return this.#constant(expr, exprKind.value);
      case 'identExpr':
        return this.#identifier(expr, exprKind.value.name, scope);
      case 'selectExpr':
        return this.#select(expr, exprKind.value, scope, depth);
      case 'callExpr':
        return this.#call(expr, exprKind.value, scope, depth);
      case 'listExpr':
        return this.#list(exprKind.value.elements, scope, depth);
      case 'comprehensionExpr':
        return this.#loop(expr, exprKind.value, scope, depth);
      case 'structExpr':
      case undefined:
      default:
        return this.#fail(expr, 'not-available', 'Map literals and messages are not part of these expressions.');
    }
  }

  #constant(expr: Expr, { constantKind }: ConstantOf): Checked {
    switch (constantKind.case) {
      case 'boolValue':
        return { node: ['constant', constantKind.value], type: 'bool' };
      case 'stringValue':
        return { node: ['constant', constantKind.value], type: 'string' };
      case 'doubleValue':
        return { node: ['constant', constantKind.value], type: 'double' };
      case 'nullValue':
        return { node: ['constant', null], type: 'null' };
      case 'int64Value': {
        const value = Number(constantKind.value);
        if (!Number.isSafeInteger(value)) this.#fail(expr, 'not-available', 'Integers go from -(2^53 - 1) to 2^53 - 1.');
        return { node: ['constant', value], type: 'int' };
      }
      case 'uint64Value':
      case 'bytesValue':
      case 'durationValue':
      case 'timestampValue':
      case undefined:
      default:
        return this.#fail(expr, 'not-available', 'Unsigned integers and bytes are not part of these expressions.');
    }
  }

  /** A name that is no variable by itself: one of a macro, or a mistake. */
  #identifier(expr: Expr, name: string, scope: Scope): Checked {
    const local = scope.locals.get(name);
    if (local !== undefined) return { node: ['local', local.place], type: local.type };
    const near = suggest(name, [...Object.keys(expressionVariables), ...scope.locals.keys()].filter((one) => !one.startsWith('@')));
    if (namespaces.has(name)) return this.#fail(expr, 'unknown-name', `${name} has fields and no value of its own: ${fieldsOf(name).join(', ')}.`);
    return this.#fail(expr, 'unknown-name', `${name.slice(0, 60)} is not a variable.`, near);
  }

  #variable(expr: Expr, { name, rest }: VariablePath): Checked {
    const type = expressionVariables[name];
    if (type === undefined) return this.#fail(expr, 'unknown-name', `${name.slice(0, 60)} is not a variable.`, suggest(name, Object.keys(expressionVariables)));
    const named = byLiteralName[name];
    if (named === undefined) return { node: ['variable', name], type };
    if (rest === null) return this.#fail(expr, 'not-available', `${name} is asked for one name at a time: ${name}["x-tenant"].`);
    if (rest.name.length > 256 || rest.name === '') this.#fail(expr, 'bad-expression', 'A name has 1 to 256 characters.');
    if (named.values === 'header' && !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(rest.name)) this.#fail(expr, 'bad-expression', `${JSON.stringify(rest.name.slice(0, 40))} is not the name of a header.`);
    const asked = named.values === 'header' ? rest.name.toLowerCase() : rest.name;
    return rest.has ? { node: [named.has, asked], type: 'bool' } : { node: [named.values, asked], type: { list: 'string' } };
  }

  #select(expr: Expr, { operand, field, testOnly }: SelectOf, scope: Scope, depth: number): Checked {
    const of = this.check(operand, scope, depth + 1);
    if (of.type !== 'dyn' && (typeof of.type === 'string' || !('map' in of.type))) this.#fail(expr, 'wrong-type', `${typeName(of.type)} has no field ${field.slice(0, 60)}.`);
    const type = typeof of.type === 'object' && 'map' in of.type ? of.type.map : 'dyn';
    return testOnly ? { node: ['has', of.node, field], type: 'bool' } : { node: ['select', of.node, field], type };
  }

  #list(elements: readonly Expr[], scope: Scope, depth: number): Checked {
    const checked = elements.map((element) => this.check(element, scope, depth + 1));
    const type = checked.length === 0 ? 'dyn' : checked.map((one) => one.type).reduce(joined);
    return { node: ['list', ...checked.map(({ node }) => node)], type: { list: type } };
  }

  #call(expr: Expr, { function: name, target, args: given }: CallOf, scope: Scope, depth: number): Checked {
    if (target !== undefined && !expressionMethods.has(name)) this.#fail(expr, 'unknown-name', `There is no method ${name.slice(0, 60)}.`, suggest(name, [...expressionMethods]));
    if (target === undefined && expressionMethods.has(name) && name !== 'size' && name !== 'matches') this.#fail(expr, 'bad-expression', `${name} is called with a dot: x.${name}(…).`);
    const operands = target === undefined ? given : [target, ...given];
    const present = name === '@in' ? this.#presence(operands, scope) : null;
    if (present !== null) return present;
    const args = operands.map((one) => this.check(one, scope, depth + 1));
    const special = Object.hasOwn(this.#special, name) ? this.#special[name] : undefined;
    return special === undefined ? this.#overloaded(expr, name, args) : special(expr, args);
  }

  /** Functions whose types are no list of overloads. */
  readonly #special: Readonly<Record<string, (expr: Expr, args: readonly Checked[]) => Checked>> = {
    '_&&_': (expr, args) => this.#logic(expr, 'and', args),
    '_||_': (expr, args) => this.#logic(expr, 'or', args),
    '_?_:_': (expr, args) => this.#conditional(expr, args),
    '_==_': (expr, args) => this.#equality(expr, '_==_', args),
    '_!=_': (expr, args) => this.#equality(expr, '_!=_', args),
    '@in': (expr, args) => this.#in(expr, args),
    '_[_]': (expr, args) => this.#index(expr, args),
    size: (expr, args) => this.#size(expr, args),
    matches: (expr, args) => this.#matches(expr, args),
    '@not_strictly_false': (expr, args) => (args[0] === undefined ? this.#noOverload(expr, 'not', args) : { node: ['call', '@not_strictly_false', args[0].node], type: 'bool' }),
  };

  #logic(expr: Expr, op: 'and' | 'or', args: readonly Checked[]): Checked {
    const [a, b] = args;
    if (!a || !b || !fits(a.type, 'bool') || !fits(b.type, 'bool')) return this.#noOverload(expr, op === 'and' ? '_&&_' : '_||_', args);
    return { node: [op, a.node, b.node], type: 'bool' };
  }

  #equality(expr: Expr, name: string, args: readonly Checked[]): Checked {
    const [a, b] = args;
    return a && b && comparable(a.type, b.type) ? { node: ['call', name, a.node, b.node], type: 'bool' } : this.#noOverload(expr, name, args);
  }

  #size(expr: Expr, args: readonly Checked[]): Checked {
    const [of] = args;
    const fine = of !== undefined && args.length === 1 && (of.type === 'dyn' || of.type === 'string' || typeof of.type === 'object');
    return fine ? { node: ['call', 'size', of.node], type: 'int' } : this.#noOverload(expr, 'size', args);
  }

  #conditional(expr: Expr, args: readonly Checked[]): Checked {
    const [condition, yes, no] = args;
    if (!condition || !yes || !no || !fits(condition.type, 'bool')) return this.#noOverload(expr, '_?_:_', args);
    return { node: ['if', condition.node, yes.node, no.node], type: joined(yes.type, no.type) };
  }

  /** `"x" in request.headers`. */
  #presence(operands: readonly Expr[], scope: Scope): Checked | null {
    const [key, within] = operands;
    const path = within === undefined ? null : variablePath(within, scope.locals);
    if (key === undefined || within === undefined || path === null || path.rest !== null || byLiteralName[path.name] === undefined) return null;
    const name = literalText(key);
    return name === null ? null : this.#variable(within, { name: path.name, rest: { name, has: true } });
  }

  #in(expr: Expr, args: readonly Checked[]): Checked {
    const [item, within] = args;
    const type = within?.type;
    const fine = item !== undefined && type !== undefined && (type === 'dyn' || (typeof type === 'object' && ('list' in type ? comparable(item.type, type.list) : fits(item.type, 'string'))));
    return fine && within !== undefined ? { node: ['call', '@in', item.node, within.node], type: 'bool' } : this.#noOverload(expr, '@in', args);
  }

  #index(expr: Expr, args: readonly Checked[]): Checked {
    const [of, at] = args;
    if (!of || !at) return this.#noOverload(expr, '_[_]', args);
    if (of.type === 'dyn') return { node: ['call', '_[_]', of.node, at.node], type: 'dyn' };
    const list = typeof of.type === 'object' && 'list' in of.type;
    if (typeof of.type !== 'object' || !fits(at.type, list ? 'int' : 'string')) return this.#noOverload(expr, '_[_]', args);
    return { node: ['call', '_[_]', of.node, at.node], type: 'list' in of.type ? of.type.list : of.type.map };
  }

  #matches(expr: Expr, args: readonly Checked[]): Checked {
    const [text, pattern] = args;
    if (!text || !pattern || !fits(text.type, 'string') || !fits(pattern.type, 'string')) return this.#noOverload(expr, 'matches', args);
    if (pattern.node[0] !== 'constant' || typeof pattern.node[1] !== 'string') return this.#fail(expr, 'not-available', 'The pattern of matches is a text that stands in the expression.');
    if (++this.#patterns > expressionLimits.patternsMax) this.#fail(expr, 'too-costly', `An expression has at most ${expressionLimits.patternsMax} patterns.`);
    const problem = checkRegex(searching(pattern.node[1]));
    if (problem !== null) this.#fail(expr, 'bad-expression', `The pattern of matches: ${problem}.`);
    return { node: ['matches', text.node, pattern.node[1]], type: 'bool' };
  }

  #overloaded(expr: Expr, name: string, args: readonly Checked[]): Checked {
    const lists = name === '_+_' && args.length === 2 && args.every(({ type }) => typeof type === 'object' && 'list' in type);
    const overloads = Object.hasOwn(expressionFunctions, name) ? expressionFunctions[name] : undefined;
    if (overloads === undefined) return this.#fail(expr, 'unknown-name', `There is no function ${name.slice(0, 60)}.`, suggest(name, Object.keys(expressionFunctions).filter((one) => /^\w+$/.test(one) && !one.startsWith('_'))));
    const found = overloads.filter((overload) => overload.args.length === args.length && overload.args.every((wanted, i) => fits(args[i]?.type ?? 'null', wanted)));
    const type = lists ? args.map((one) => one.type).reduce(joined) : found.map(({ result }) => result).reduce<ExpressionType | null>((all, one) => (all === null ? one : joined(all, one)), null);
    if (type === null) return this.#noOverload(expr, name, args, overloads);
    return { node: ['call', name === '_/_' && type === 'int' ? 'wholeDivision' : name, ...args.map(({ node }) => node)], type };
  }

  #loop(expr: Expr, loop: ComprehensionOf, scope: Scope, depth: number): Checked {
    if (scope.loops >= expressionLimits.loopsMax) this.#fail(expr, 'too-costly', `Macros such as exists and map may be ${expressionLimits.loopsMax} deep.`);
    if (loop.iterVar2 !== '') this.#fail(expr, 'not-available', 'Macros take one variable.');
    const range = this.check(loop.iterRange, scope, depth + 1);
    if (range.type !== 'dyn' && typeof range.type !== 'object') this.#fail(expr, 'wrong-type', `${typeName(range.type)} has no entries: a list is needed.`);
    const item: ExpressionType = typeof range.type === 'object' ? ('list' in range.type ? range.type.list : 'string') : 'dyn';
    const first = this.check(loop.accuInit, scope, depth + 1);
    const [itemPlace, resultPlace] = [this.#places++, this.#places++];
    const within = (type: ExpressionType): Scope => ({
      loops: scope.loops + 1,
      locals: new Map(scope.locals).set(loop.iterVar, { type: item, place: itemPlace }).set(loop.accuVar, { type, place: resultPlace }),
    });
    const step = this.check(loop.loopStep, within(first.type), depth + 1);
    const condition = this.check(loop.loopCondition, within(first.type), depth + 1);
    const outcome = this.check(loop.result, within(joined(first.type, step.type)), depth + 1);
    return { node: ['loop', itemPlace, resultPlace, range.node, first.node, condition.node, step.node, outcome.node], type: outcome.type };
  }

  #noOverload(expr: Expr, name: string, args: readonly Checked[], overloads: readonly Overload[] = []): never {
    const types = args.map(({ type }) => typeName(type)).join(', ');
    const known = overloads.slice(0, 6).map((overload) => `(${overload.args.map(typeName).join(', ')})`).join(' ');
    return this.#fail(expr, 'wrong-type', `${shown(name)} is not defined for (${types})${known === '' ? '' : `, but for ${known}`}.`);
  }

  #fail(expr: Expr, code: string, message: string, suggestion?: string): never {
    throw new CheckError(code, this.#positions[expr.id.toString()] ?? 0, message, suggestion);
  }
}

type KindOf<C extends string> = Extract<Expr['exprKind'], { case: C }> extends { value: infer V } ? V : never;
type ConstantOf = KindOf<'constExpr'>;
type SelectOf = KindOf<'selectExpr'>;
type CallOf = KindOf<'callExpr'>;
type ComprehensionOf = KindOf<'comprehensionExpr'>;

/** `matches` looks for the pattern anywhere in the text. */
function searching(pattern: string): string {
  return `(?s:.*)(?:${pattern})(?s:.*)`;
}

/** Equality is between alike types, numbers of both kinds among them; of what is only known later, anything goes. */
function comparable(a: ExpressionType, b: ExpressionType): boolean {
  const numbers: readonly ExpressionType[] = ['int', 'double'];
  if (numbers.includes(a) && numbers.includes(b)) return true;
  if (a === 'null' || b === 'null') return true;
  return fits(a, b);
}

function fieldsOf(name: string): string[] {
  return Object.keys(expressionVariables).filter((one) => one.startsWith(`${name}.`));
}

/** `_+_` as `+`. */
function shown(name: string): string {
  return /^[\w@]+$/.test(name) && !name.startsWith('_') ? name.replace('@', '') : name.replaceAll('_', '');
}
