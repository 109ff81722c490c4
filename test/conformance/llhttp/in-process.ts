import { MessageReader } from '@remora/http/message-reader';
import type { CaseNote, SuiteResult } from '../suite.ts';
import type { LlhttpCase } from './llhttp-case.ts';

const limits = { bytesMax: 8192, fieldsMax: 100 };

/** Every message through our reader: whole, cut in two at every place, and byte by byte. What strict llhttp refuses is refused each time. */
export function runInProcess(cases: readonly LlhttpCase[]): SuiteResult {
  const failed: CaseNote[] = [];
  for (const one of cases) {
    const why = one.strict && one.expect === 'reject' ? accepted(one) : differs(one);
    if (why !== '') failed.push({ name: one.id, why });
  }
  return { title: inProcessTitle, passed: cases.length - failed.length, failed, excluded: [] };
}

export const inProcessTitle = 'llhttp, reader in process, cut at every place';

function accepted(one: LlhttpCase): string {
  for (const pieces of allCuts(one.bytes)) {
    const reader = read(one, pieces);
    if (reader.state !== 'refused') return `not refused when cut at ${pieces.map(({ length }) => length).join('+').slice(0, 60)}: ${reader.messages.length} messages were read`;
  }
  return '';
}

function differs(one: LlhttpCase): string {
  const whole = account(read(one, [one.bytes]));
  for (const pieces of allCuts(one.bytes)) {
    if (account(read(one, pieces)) !== whole) return `read in another way when cut at ${pieces.map(({ length }) => length).join('+').slice(0, 60)}`;
  }
  return '';
}

function* allCuts(bytes: Uint8Array): Generator<readonly Uint8Array[]> {
  for (let at = 0; at <= bytes.length; at++) yield [bytes.subarray(0, at), bytes.subarray(at)];
  yield Array.from(bytes, (byte) => Uint8Array.of(byte));
}

function read(one: LlhttpCase, pieces: readonly Uint8Array[]): MessageReader {
  const reader = new MessageReader(one.mode.startsWith('response') ? 'response' : 'request', limits);
  for (const piece of pieces) reader.feed(piece);
  reader.end();
  return reader;
}

function account(reader: MessageReader): string {
  return JSON.stringify([reader.state, reader.messages.map(({ head, body, trailers }) => {
    const fields: string[] = [];
    head.forEach((name, value) => fields.push(`${name}: ${value}`));
    trailers?.forEach((name, value) => fields.push(`trailer ${name}: ${value}`));
    return [head.method, head.target, head.status, ...fields, Buffer.concat(body).toString('latin1')];
  })]);
}
