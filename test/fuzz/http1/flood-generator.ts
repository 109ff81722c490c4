import type { Choice } from '../choice.ts';
import { tokenPath } from './request-generator.ts';

/**
 * More of something than anybody needs, well-formed: fields and their bytes around the limits and far beyond, pipelines of up to 10^4 requests, bodies in chunks of one
 * byte, chunk extensions and trailers without end. A clean request stands before it, and one behind. What is within the limits is served.
 */
export function generateFlood(choice: Choice, prefix: string): string {
  // Tokens whose answers are short.
  const request = (nth: number, more = '', method = 'GET'): string => `${method} ${tokenPath(`${prefix}${nth.toString(16).padStart(6, '0')}03`)} HTTP/1.1\r\nHost: app\r\n${more}`;
  const flood = choice.pick<() => string>([
    () => `${request(1)}${'x: y\r\n'.repeat(choice.pick([98, 99, 100, 1000, 20_000]))}\r\n`,
    () => `${request(1)}${`x-${choice.hex(4)}: ${choice.hex(30)}\r\n`.repeat(choice.pick([90, 99, 100]))}\r\n`,
    () => `${request(1)}x: ${'y'.repeat(choice.pick([60_000, 65_000, 65_400, 65_500, 65_536, 300_000]))}\r\n\r\n`,
    () => `${request(1).replace(' HTTP/1.1', `?${'q'.repeat(choice.pick([60_000, 65_500, 300_000]))} HTTP/1.1`)}\r\n`,
    () => Array.from({ length: choice.pick([100, 1000, 1000, 10_000]) }, (_, nth) => `${request(nth + 3)}\r\n`).join(''),
    () => `${request(1, 'Transfer-Encoding: chunked\r\n', 'POST')}\r\n${'1\r\nx\r\n'.repeat(choice.pick([200, 1000, 20_000]))}0\r\n\r\n`,
    () => `${request(1, 'Transfer-Encoding: chunked\r\n', 'POST')}\r\n1;${'e'.repeat(choice.pick([100, 5000, 100_000]))}\r\nx\r\n0\r\n\r\n`,
    () => `${request(1, 'Transfer-Encoding: chunked\r\n', 'POST')}\r\n1\r\nx\r\n0\r\n${'t: u\r\n'.repeat(choice.pick([50, 101, 20_000]))}\r\n`,
    () => '\r\n'.repeat(choice.pick([1, 2, 1000, 100_000])),
  ])();
  return `${request(0)}\r\n${flood}${request(2)}\r\n`;
}
