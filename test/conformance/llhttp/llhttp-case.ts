import { readFileSync } from 'node:fs';

/** A message of llhttp's own tests; the README of `libs/http` tells where they come from. */
export interface LlhttpCase {
  readonly id: string;
  readonly mode: string;
  readonly strict: boolean;
  readonly expect: 'accept' | 'reject' | 'upgrade' | 'ignore-rest';
  /** Complete before what is refused. */
  readonly messages: number;
  readonly bytes: Buffer;
}

const file = new URL('../../../libs/http/testdata/llhttp.jsonl', import.meta.url);

/** All 251. Throws where some are missing. */
export function readLlhttpCases(): readonly LlhttpCase[] {
  const cases = readFileSync(file, 'utf8').trim().split('\n').map((line) => {
    const one = JSON.parse(line) as Omit<LlhttpCase, 'bytes'> & { readonly bytes: string };
    return { ...one, bytes: Buffer.from(one.bytes, 'base64') };
  });
  if (cases.length !== 251) throw new Error(`${cases.length} messages of llhttp instead of 251`);
  return cases;
}
