import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChunkedDecoder, chunkedBad, chunkedData, chunkedEnd, chunkedMore, extensionBytesMax, overheadFree } from './chunked-decoder.ts';

/** What comes out of a body given in these pieces; null where it is refused, `more` where it is not complete. */
function decode(pieces: readonly Uint8Array[]): { readonly body: string; readonly state: 'more' | 'end' | 'bad'; readonly rest: string } {
  const decoder = new ChunkedDecoder();
  const body: Buffer[] = [];
  for (const [i, piece] of pieces.entries()) {
    let at = 0;
    while (at < piece.length) {
      const event = decoder.decode(piece, at, piece.length);
      if (event === chunkedBad) return { body: Buffer.concat(body).toString('latin1'), state: 'bad', rest: '' };
      at = decoder.used;
      if (event === chunkedData) body.push(Buffer.from(piece.subarray(decoder.dataAt, decoder.dataEnd)));
      if (event === chunkedMore) break;
      if (event === chunkedEnd) {
        const rest = Buffer.concat([piece.subarray(at), ...pieces.slice(i + 1)]).toString('latin1');
        return { body: Buffer.concat(body).toString('latin1'), state: 'end', rest };
      }
    }
  }
  return { body: Buffer.concat(body).toString('latin1'), state: 'more', rest: '' };
}

const whole = (text: string): ReturnType<typeof decode> => decode([Buffer.from(text, 'latin1')]);

describe('ChunkedDecoder', () => {
  it.each([
    ['one chunk', '5\r\nhello\r\n0\r\n\r\n', 'hello'], ['several', '1\r\na\r\n0A\r\n0123456789\r\n0\r\n\r\n', 'a0123456789'], ['only the last', '0\r\n\r\n', ''],
    ['several zeros', '000\r\n\r\n', ''], ['upper case', 'A\r\n0123456789\r\n00\r\n\r\n', '0123456789'],
    ['extensions', '5;a;b=c;d="e;f\\"g"\r\nhello\r\n0;last\r\n\r\n', 'hello'], ['15 digits', '000000000000005\r\nhello\r\n0\r\n\r\n', 'hello'],
  ])('reads %s', (_, text, body) => {
    expect(whole(text)).toEqual({ body, state: 'end', rest: '\r\n' });
  });

  it.each([
    ['no size', '\r\nhello'], ['a sign', '+5\r\nhello\r\n'], ['a minus', '-5\r\nhello'], ['0x', '0x5\r\nhello'], ['an underscore', '1_0\r\n'], ['a space before', ' 5\r\nhello'],
    ['a space behind', '5 \r\nhello'], ['a tab behind', '5\t\r\nhello'], ['16 digits', '0000000000000005\r\nhello'], ['a bare LF', '5\nhello'], ['a bare CR', '5\rhello'],
    ['CR twice', '5\r\r\nhello'], ['LF behind data', '5\r\nhello\n'], ['more data than said', '5\r\nhello!\r\n'], ['an empty extension', '5;\r\nhello'],
    ['an extension with a space', '5; a\r\nhello'], ['an extension without value', '5;a=\r\nhello'], ['an open quote', '5;a="b\r\nhello'], ['a NUL in an extension', '5;a\0\r\nhello'],
    ['a size beyond 2^53', 'fffffffffffffff\r\n'], ['text', 'hello\r\n'],
  ])('refuses %s', (_, text) => {
    expect(whole(text).state).toBe('bad');
  });

  it('caps extensions over the whole message', () => {
    const extension = ';a='.padEnd(extensionBytesMax / 4, 'x');
    const chunk = `1${extension}\r\nx\r\n`;
    expect(whole(chunk.repeat(3)).state).toBe('more');
    expect(whole(chunk.repeat(6)).state).toBe('bad');
  });

  it('caps the share of framing: tiny chunks pass, padded ones do not', () => {
    expect(whole('1\r\nx\r\n'.repeat(50_000)).state).toBe('more');
    const padded = '000000000000001\r\nx\r\n';
    expect(whole(padded.repeat(Math.ceil((overheadFree * 3) / padded.length))).state).toBe('bad');
  });

  it('gives the same however the body is cut', () => {
    const chunk = fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 20 }), fc.constantFrom('', ';a', ';a=b', ';a="b c"'));
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 6 }), fc.array(fc.nat(200), { maxLength: 6 }), fc.constantFrom('', '\r', '\r\n', 'x'), (chunks, cuts, flaw) => {
        const parts = chunks.flatMap(([data, extension]) => [Buffer.from(data.length.toString(16) + extension + '\r\n'), Buffer.from(data), Buffer.from('\r\n')]);
        const bytes = Buffer.concat([...parts, Buffer.from(`${flaw}0\r\n\r\n`)]);
        const borders = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
        const pieces = borders.slice(1).map((border, i) => bytes.subarray(borders[i], border));
        const expected = decode([bytes]);
        expect(decode(pieces)).toEqual(expected);
        expect(decode([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(expected);
        if (flaw === '') expect(expected.body).toBe(Buffer.concat(chunks.map(([data]) => Buffer.from(data))).toString('latin1'));
      }),
    );
  });
});
