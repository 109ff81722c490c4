import type { Field } from '@remora/http/head';
import { makeField } from '@remora/http/header-ids';
import { MessageHead } from '@remora/http/message-head';
import type { RouteAction } from '@remora/snapshot/route-definition';
import type { EncodedAnswer } from '../pipeline/answer-encoding.ts';
import type { RespondAction } from './places.ts';

type Respond = Extract<RouteAction, { kind: 'respond' }>;

/** The action of a Route that answers by itself. Its header fields are made at the first request. */
export class FixedResponse implements RespondAction {
  readonly kind = 'respond';
  readonly #action: Respond;
  #fields: readonly Field[] | null = null;

  constructor(action: Respond) {
    this.#action = action;
  }

  get delayMs(): number {
    return this.#action.delayMs;
  }

  response(): EncodedAnswer {
    const { status, body } = this.#action;
    const head = new MessageHead();
    head.status = status;
    head.bodyLength = body.length;
    this.#fields ??= fieldsOf(this.#action);
    for (const field of this.#fields) head.put(field);
    return { head, body };
  }
}

function fieldsOf({ headers, contentType }: Respond): readonly Field[] {
  const fields = headers.map(({ name, value }) => makeField(name, value));
  if (contentType !== '') fields.push(makeField('content-type', contentType));
  fields.push(origin);
  return fields;
}

const origin = makeField('x-remora-origin', 'remora');
