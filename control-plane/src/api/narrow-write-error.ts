import type { JsonObject } from '@remora/core/canonical-json';
import type { Violation } from '@remora/core/violation';
import type { Access } from '../operators/access.ts';
import type { DocumentKey, StoredDocument } from '../store/store.ts';
import { WriteError } from '../write/write-error.ts';

/**
 * A refusal as somebody with a scope may read it: what is said about documents outside of it becomes a number, and no name is
 * suggested. Whoever sees everything gets it as it is.
 */
export function narrowWriteError(access: Access, documents: ReadonlyMap<DocumentKey, StoredDocument>, given: ReadonlySet<string>, error: unknown): unknown {
  if (access.seesAll || !(error instanceof WriteError)) return error;
  const sees = (key: string): boolean => {
    const stored = documents.get(key as DocumentKey);
    return given.has(key) || (stored !== undefined && access.seesDocument(stored));
  };
  const violations = narrowViolations(error.violations, sees);
  if (error.code === 'referred') {
    return withFacts(error, violations, narrowList(error.facts, 'referrers', ({ from }) => typeof from === 'string' && sees(from)), 'it cannot be deleted: other documents still refer to it');
  }
  if (error.code === 'guard') {
    return withFacts(error, violations, narrowList(error.facts, 'guards', ({ subject }) => typeof subject === 'string' && access.sees(subject)), 'a guard refuses the change, and may be lifted with `force` by whoever has the role editor for the services and gateways concerned');
  }
  return new WriteError(error.code, withoutSuggestions(error.message), { violations, facts: error.facts });
}

/** No name that was only guessed. */
export function withoutSuggestions(text: string): string {
  return text.replaceAll(/;? ?did you mean [^?]{0,300}\?/g, '');
}

function narrowViolations(violations: readonly Violation[], sees: (key: string) => boolean): Violation[] {
  const kept: Violation[] = [];
  let outside = 0;
  for (const { suggestion: _, expected, ...violation } of violations) {
    if (violation.document !== undefined && !sees(violation.document)) outside += 1;
    else kept.push({ ...violation, message: withoutSuggestions(violation.message), ...(expected === undefined || listsNames(violation, expected) ? {} : { expected }) });
  }
  if (outside > 0) kept.push({ pointer: '', code: 'outside-scope', message: `${outside} thing${outside === 1 ? '' : 's'} would be wrong with documents outside of this role's scope; ask somebody with the role editor for everything` });
  return kept;
}

/** `unknown-service` tells which services there are. */
function listsNames({ code }: Pick<Violation, 'code'>, expected: string): boolean {
  return code.startsWith('unknown-') && expected.startsWith('one of ');
}

function narrowList(facts: JsonObject, name: string, visible: (one: JsonObject) => boolean): JsonObject {
  const all = Array.isArray(facts[name]) ? (facts[name] as readonly JsonObject[]) : [];
  const kept = all.filter(visible);
  return { ...facts, [name]: kept, outsideScope: all.length - kept.length };
}

function withFacts({ code, message, facts: before }: WriteError, violations: readonly Violation[], facts: JsonObject, narrow: string): WriteError {
  const whole = facts['outsideScope'] === 0;
  return new WriteError(code, whole ? message : narrow, { violations, facts: whole ? before : facts });
}
