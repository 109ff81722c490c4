import type { Field } from '@remora/http/head';
import { makeField } from '@remora/http/header-ids';
import type { Reason } from '@remora/errors/reason';
import type { Answer } from '@remora/policy-kit/exchange';
import type { FilterContext } from '@remora/policy-kit/runtime-kind';
import { jwtReasons } from './reasons.ts';

/** Refusals with what RFC 6750 section 3 wants beside them. */
export class Refusals {
  readonly #context: FilterContext;
  readonly #fields: ReadonlyMap<Reason, readonly Field[]>;

  constructor(context: FilterContext) {
    this.#context = context;
    this.#fields = new Map(jwtReasons.map((reason) => [reason, Object.freeze([fieldFor(reason)])]));
  }

  of(reason: Reason, pointer: string, detail: string): Answer {
    return this.#context.refuse(reason, pointer, detail, this.#fields.get(reason) ?? []);
  }
}

function fieldFor({ status, title }: Reason): Field {
  if (status === 503) return makeField('retry-after', '1');
  return makeField('www-authenticate', `Bearer error="${status === 403 ? 'insufficient_scope' : 'invalid_token'}", error_description="${title}"`);
}

/** What a client without a token is told. */
export const bearerChallenge = 'Bearer';
