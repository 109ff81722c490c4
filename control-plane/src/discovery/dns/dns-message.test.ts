import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeMessage, encodeName, encodeQuestion } from './dns-message.ts';
import { encodeAnswer } from './testdata/dns-server-double.ts';

test('a question asks for recursion, and for answers of 1,232 bytes', () => {
  const message = encodeQuestion(0x1234, 'Orders.test.', 'SRV');
  expect(message.toString('hex')).toBe('123401000001000000000001064f72646572730474657374000021000100002904d0000000000000');
  expect(decodeMessage(message)).toMatchObject({ id: 0x1234, isResponse: false, question: { name: 'orders.test', type: 33 } });
});

test.each(['a..b', `${'x'.repeat(64)}.test`, `${'x.'.repeat(127)}test`, '.a'])('%s is no name', (name) => {
  expect(() => encodeName(name)).toThrow(RangeError);
});

/** An alias and its address, compressed as resolvers do it. */
const recorded = Buffer.from('abcd8180000100020000000003777777076578616d706c6503636f6d0000010001c00c00050001000000780002c010c010000100010000003c00045db8d822', 'hex');

test('names that point back are read', () => {
  expect(decodeMessage(recorded)?.answers).toEqual([
    { type: 'CNAME', name: 'www.example.com', ttlS: 120, target: 'example.com' }, { type: 'A', name: 'example.com', ttlS: 60, address: '93.184.216.34' },
  ]);
});

test('how long "there is none" holds', () => {
  const soa = Buffer.concat([Buffer.from('00018183000100000001000004746573740000010001', 'hex'), Buffer.from('c00c000600010000012c0018', 'hex'), Buffer.from('c00cc00c', 'hex'), Buffer.alloc(16), Buffer.from('0000003c', 'hex')]);
  expect(decodeMessage(soa)).toMatchObject({ code: 3, negativeTtlS: 60, answers: [] });
});

test.each<[string, string]>([
  ['a pointer to itself', 'abcd8180000100000000000 0c00c00010001'.replaceAll(' ', '')],
  ['a pointer forward', 'abcd81800001000000000000c01400010001'],
  ['no question', 'abcd81800000000000000000'],
  ['more records than there are', 'abcd8180000100050000000004746573740000010001'],
  ['nothing', ''],
])('%s is no message', (_title, hex) => {
  expect(decodeMessage(Buffer.from(hex, 'hex'))).toBeNull();
});

test('whatever the bytes are, reading them ends', () => {
  const seed = Date.now() & 0xffff;
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    const read = decodeMessage(Buffer.from(bytes));
    expect(read === null || read.answers.length <= bytes.length).toBe(true);
  }), { seed, numRuns: 500 });
  // Also with a byte wrong in a right one.
  fc.assert(fc.property(fc.nat(recorded.length - 1), fc.nat(255), (at, byte) => {
    const spoilt = Buffer.from(recorded);
    spoilt[at] = byte;
    expect(decodeMessage(spoilt)?.answers.length ?? 0).toBeLessThanOrEqual(2);
  }), { seed, numRuns: 500 });
});

test('a time to live with its highest bit set is none', () => {
  const answer = encodeAnswer(1, { name: 'a.test', type: 1 }, { code: 0, truncated: false, records: [{ type: 'A', name: 'a.test', ttlS: 0x80000001, address: '10.0.0.1' }], additional: [] });
  expect(decodeMessage(answer)?.answers).toMatchObject([{ ttlS: 0 }]);
});
