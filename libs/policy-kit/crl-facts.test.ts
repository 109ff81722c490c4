import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeCrls, encodeCrls, hasSerial, type CrlFacts } from './crl-facts.ts';

const serial = fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('hex'));

test('lists come back as they were, and every serial number of them is found', () => {
  fc.assert(fc.property(fc.array(fc.uniqueArray(serial, { maxLength: 40 }), { maxLength: 4 }), serial, (all, other) => {
    const lists = all.map((serials, i): CrlFacts => ({ issuerHash: `h${i}`, issuerKeyId: '', endsMs: i, issuerRevoked: i % 2 === 0, serials: Buffer.from(serials.toSorted().join(''), 'hex') }));
    const read = decodeCrls(encodeCrls(lists));
    expect(read?.map(({ serials, ...list }) => ({ ...list, serials: Buffer.from(serials).toString('hex') }))).toEqual(lists.map(({ serials, ...list }) => ({ ...list, serials: Buffer.from(serials).toString('hex') })));
    all.forEach((serials, i) => {
      for (const one of serials) expect(hasSerial(read?.[i]?.serials ?? new Uint8Array(), one)).toBe(true);
      expect(hasSerial(read?.[i]?.serials ?? new Uint8Array(), other)).toBe(serials.includes(other));
    });
  }));
});

test('any other bytes are none', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
    expect(decodeCrls(bytes)).toBeNull();
  }));
  const whole = encodeCrls([{ issuerHash: '', issuerKeyId: '', endsMs: 1, issuerRevoked: false, serials: new Uint8Array(40) }]);
  expect(decodeCrls(whole)).not.toBeNull();
  expect(decodeCrls(whole.subarray(0, whole.length - 1))).toBeNull();
  expect(decodeCrls(Buffer.concat([whole, Buffer.alloc(20)]))).toBeNull();
});
