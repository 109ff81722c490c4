import type { parse } from '@bufbuild/cel';
import { expressionVariables } from './expression-types.ts';

type Expr = NonNullable<ReturnType<typeof parse>['expr']>;
type Hiding = { readonly has: (name: string) => boolean };

/** Variables of which only one entry at a time can be asked for, and what that becomes. */
export const byLiteralName: Readonly<Record<string, { readonly values: 'header' | 'query'; readonly has: 'hasHeader' | 'hasQuery' }>> = {
  'request.headers': { values: 'header', has: 'hasHeader' }, 'request.query': { values: 'query', has: 'hasQuery' },
};

/** `request` of `request.method`. */
export const namespaces: ReadonlySet<string> = new Set(Object.keys(expressionVariables).map((name) => name.split('.')[0] ?? ''));

export interface VariablePath {
  readonly name: string;
  /** Of `request.headers` and the like: which one, and whether it is only asked if it is there. */
  readonly rest: { readonly name: string; readonly has: boolean } | null;
}

/** `request.method`, `request.headers["x-a"]`, `has(request.headers.a)`; null where it is no variable. A macro's variable of the same name hides it. */
export function variablePath(expr: Expr, locals: Hiding): VariablePath | null {
  const { exprKind } = expr;
  if (exprKind.case === 'callExpr' && exprKind.value.function === '_[_]') return named(exprKind.value.args[0], literalText(exprKind.value.args[1]), false, locals);
  const names = dottedNames(expr);
  const [root] = names ?? [];
  if (names === null || root === undefined || locals.has(root)) return null;
  const whole = names.join('.');
  if (Object.hasOwn(expressionVariables, whole)) return exprKind.case === 'selectExpr' && exprKind.value.testOnly ? null : { name: whole, rest: null };
  if (exprKind.case === 'selectExpr') {
    const found = named(exprKind.value.operand, exprKind.value.field, exprKind.value.testOnly, locals);
    if (found !== null) return found;
  }
  const known = Object.hasOwn(expressionVariables, root) || names.length < 2 || !namespaces.has(root) || names.some((_, i) => Object.hasOwn(expressionVariables, names.slice(0, i + 1).join('.')));
  return known ? null : { name: whole, rest: null };
}

function named(operand: Expr | undefined, name: string | null, has: boolean, locals: Hiding): VariablePath | null {
  if (operand === undefined || name === null) return null;
  const names = dottedNames(operand);
  if (names === null || locals.has(names[0] ?? '')) return null;
  const of = names.join('.');
  return byLiteralName[of] === undefined ? null : { name: of, rest: { name, has } };
}

function dottedNames(expr: Expr): string[] | null {
  const { exprKind } = expr;
  if (exprKind.case === 'identExpr') return [exprKind.value.name];
  if (exprKind.case !== 'selectExpr' || exprKind.value.operand === undefined) return null;
  const before = dottedNames(exprKind.value.operand);
  return before === null ? null : [...before, exprKind.value.field];
}

export function literalText(expr: Expr | undefined): string | null {
  if (expr?.exprKind.case !== 'constExpr') return null;
  const { constantKind } = expr.exprKind.value;
  return constantKind.case === 'stringValue' ? constantKind.value : null;
}
