import { Choice } from '../choice.ts';
import { generateRequest } from './request-generator.ts';
import { mutations } from './mutations.ts';
import { generateFlood } from './flood-generator.ts';
import { serializeRequest, type RequestModel } from './request-model.ts';

/** What one client sends on one connection: requests in a pipeline, and what became of their bytes. */
export interface Conversation {
  /** First half of every token of this conversation; nobody else's. */
  readonly prefix: string;
  readonly requests: readonly RequestModel[];
  /** Latin-1. */
  readonly text: string;
  /** Nothing was spoiled: everything is as `requests` say. */
  readonly valid: boolean;
}

/** A pipeline of one to five requests, two in three of them spoiled once or a few times; now and then far too much of something. */
export function generateConversation(seed: number): Conversation {
  const choice = new Choice(seed);
  const prefix = choice.hex(8);
  if (choice.once(floodShare)) return { prefix, requests: [], text: generateFlood(choice, prefix), valid: false };
  const requests = Array.from({ length: choice.pick([1, 1, 2, 3, 5]) }, () => generateRequest(choice, prefix + choice.hex(8)));
  let text = requests.map(serializeRequest).join(choice.once(10) ? '\r\n' : '');
  const valid = choice.once(3);
  for (let left = valid ? 0 : choice.pick([1, 1, 1, 2, 3, 6]); left > 0 && text.length > 0; left--) text = choice.pick(mutations)(choice, text);
  return { prefix, requests, text, valid };
}

const floodShare = 250;
