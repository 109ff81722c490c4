import { parseIpNetwork, type IpNetwork } from '@remora/core/ip-address';
import { expressionLimits } from '@remora/policy-kit/expression-limits';
import { WireError } from '@remora/policy-kit/runtime-kind';
import { boundedList, boundedText, decodeMessage } from '@remora/policy-kit/wire-check';
import { callerProblem } from '@remora/policy-kit/caller-pattern';
import { Authorization, type Claim, type Rule } from './gen/authorization.ts';
import { pathProblem } from './path-pattern.ts';
import { authorizationDenied } from './reasons.ts';

export interface AuthorizationSettings {
  readonly rules: readonly AuthorizationRule[];
  readonly allowByDefault: boolean;
  /** Where it stands: `/defaultAction`, '' where it follows from the rules. */
  readonly defaultPointer: string;
  readonly revoke: boolean;
}

/** Empty conditions are none. */
export interface AuthorizationRule {
  readonly name: string;
  readonly deny: boolean;
  readonly callers: readonly string[];
  readonly consumers: readonly string[];
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
  readonly claims: readonly { readonly path: string; readonly values: readonly (string | number | boolean)[] }[];
  readonly methods: readonly string[];
  readonly paths: readonly string[];
  readonly addresses: readonly IpNetwork[];
  /** '' for none. */
  readonly whenProgram: string;
  readonly whenText: string;
}

export const authorizationMax = { rules: 1_000, entries: 256, expressions: 100 } as const;

export const authorizationWire = { name: 'authorization', format: 1, reasons: [authorizationDenied], decode: decodeAuthorization } as const;

function decodeAuthorization(bytes: Uint8Array): AuthorizationSettings {
  const message = decodeMessage(Authorization, bytes);
  const rules = Object.freeze(boundedList(message.rules, '/rules', authorizationMax.rules).map(readRule));
  if (rules.filter(({ whenProgram }) => whenProgram !== '').length > authorizationMax.expressions) throw new WireError('/rules', 'too-many', `at most ${authorizationMax.expressions} rules with when are accepted`);
  return Object.freeze({ rules, allowByDefault: message.allowByDefault, defaultPointer: message.defaultGiven ? '/defaultAction' : '', revoke: message.revoke });
}

function readRule(rule: Rule): AuthorizationRule {
  const name = boundedText(rule.name, '/rules', 63, /^[A-Za-z][A-Za-z0-9_-]*$/);
  const at = (field: string): string => `/rules/${name}/${field}`;
  return Object.freeze({
    name,
    deny: rule.deny,
    callers: texts(rule.callers, at('callers'), 2_048, callerProblem),
    consumers: texts(rule.consumers, at('consumers'), 256),
    groups: texts(rule.groups, at('groups'), 256),
    scopes: texts(rule.scopes, at('scopes'), 256),
    claims: Object.freeze(boundedList(rule.claims, at('claims'), authorizationMax.entries).map((claim) => readClaim(claim, at('claims')))),
    methods: texts(rule.methods, at('methods'), 32),
    paths: texts(rule.paths, at('paths'), 1_024, pathProblem),
    addresses: Object.freeze(boundedList(rule.addresses, at('addresses'), authorizationMax.entries).map((text) => readNetwork(text, at('addresses')))),
    whenProgram: rule.whenProgram,
    whenText: boundedText(rule.whenText, at('when'), expressionLimits.textMax),
  });
}

function texts(list: readonly string[], pointer: string, lengthMax: number, problemOf?: (text: string) => string | null): readonly string[] {
  return Object.freeze(boundedList(list, pointer, authorizationMax.entries).map((text) => {
    const problem = problemOf?.(boundedText(text, pointer, lengthMax)) ?? null;
    if (problem !== null) throw new WireError(pointer, 'invalid-value', `${JSON.stringify(text.slice(0, 60))} ${problem}`);
    return boundedText(text, pointer, lengthMax);
  }));
}

function readClaim({ path, values }: Claim, base: string): AuthorizationRule['claims'][number] {
  const pointer = `${base}/${path.slice(0, 80)}`;
  return Object.freeze({
    path: boundedText(path, pointer, 256),
    values: Object.freeze(boundedList(values, pointer, authorizationMax.entries).map((text) => readScalar(boundedText(text, pointer, 8_192), pointer))),
  });
}

function readScalar(text: string, pointer: string): string | number | boolean {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = null;
  }
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  throw new WireError(pointer, 'invalid-value', 'the value of a claim is a text, a number, true or false');
}

function readNetwork(text: string, pointer: string): IpNetwork {
  const network = parseIpNetwork(boundedText(text, pointer, 64));
  if (network === null) throw new WireError(pointer, 'invalid-cidr', `${JSON.stringify(text.slice(0, 60))} is not a network`);
  return network;
}
