import type { CaseNote } from '../suite.ts';

/** Cases of h2spec 2.2.1 (made for RFC 7540) that RFC 9113 does not ask for any more, by the name that the report gives them. */
export const droppedCases: readonly CaseNote[] = [
  {
    name: 'http2/5.3.1: Sends HEADERS frame that depend on itself',
    why: 'RFC 9113 section 5.3.2 deprecates RFC 7540 priority signalling: endpoints ignore dependencies, and RFC 7540 section 5.3.1 (self-dependency is PROTOCOL_ERROR) is gone',
  },
  {
    name: 'http2/5.3.1: Sends PRIORITY frame that depend on itself',
    why: 'RFC 9113 section 5.3.2, as above; section 6.3 keeps only the length and the stream identifier',
  },
];

export function droppedFor(name: string): CaseNote | undefined {
  return droppedCases.find((dropped) => dropped.name === name);
}
