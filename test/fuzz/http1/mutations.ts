import type { Choice } from '../choice.ts';

/** Spoils bytes (as Latin-1 text), each time in one way. */
export type Mutation = (choice: Choice, text: string) => string;

/** What attacks on framing are made of; put in anywhere. */
const dictionary = [
  '\r', '\n', '\r\n', '\r\n\r\n', '\n\n', '\0', '\t', ' ', '\v', '\f', '\x7f', '\x85', '\xa0', '\xff', ':', ',', ';', '"', '\\', '%', '#', '?',
  '0\r\n\r\n', '0\r\n', '1\r\nx\r\n', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'chunked', 'identity', '100-continue', '-1', '+1', '0x1', '1e1', '99999999999999999999',
  'Content-Length: 0\r\n', 'Content-Length: 5\r\n', 'Content-Length: 5, 5\r\n', 'Content-Length:\r\n', 'Content-Length : 5\r\n', ' Content-Length: 5\r\n', 'Content_Length: 5\r\n', 'Content-Length: 1 \r\n', 'content-length: 00005\r\n',
  'Transfer-Encoding: chunked\r\n', 'Transfer-Encoding: identity\r\n', 'Transfer-Encoding: gzip, chunked\r\n', 'Transfer-Encoding:\tchunked\r\n', 'Transfer-Encoding: chunked\t\r\n', 'Transfer-Encoding: Chunked\r\n',
  'Transfer-Encoding:\vchunked\r\n', 'Transfer-Encoding : chunked\r\n', 'Transfer-Encoding: x\r\n chunked\r\n', 'Transfer-Encoding: "chunked"\r\n', 'Transfer_Encoding: chunked\r\n', 'Transfer-Encoding: chunked, identity\r\n', 'X: y\r\nTransfer-Encoding: chunked\r\n',
  'Host: other\r\n', 'Host:\r\n', 'Host: a b\r\n', 'Connection: close\r\n', 'Connection: keep-alive, transfer-encoding\r\n', 'Connection: content-length\r\n', 'Upgrade: websocket\r\n', 'Upgrade: h2c\r\nConnection: Upgrade\r\n',
  'Expect: 100-continue\r\n', 'Trailer: Content-Length\r\n', 'X: a\r\n b\r\n', 'x\r\n', ': x\r\n', 'X Y: z\r\n', 'GET / HTTP/1.1\r\nHost: in\r\n\r\n', 'GET http://other/ HTTP/1.1\r\n', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n',
] as const;

export const mutations: readonly Mutation[] = [
  (choice, text) => splice(text, choice.below(text.length + 1), 0, choice.pick(dictionary)),
  (choice, text) => splice(text, lineStart(choice, text), 0, choice.pick(dictionary)),
  (choice, text) => splice(text, lineStart(choice, text), 0, choice.pick(dictionary)),
  // One byte: another, gone, twice, one bit.
  (choice, text) => splice(text, choice.below(text.length), 1, String.fromCharCode(choice.below(256))),
  (choice, text) => splice(text, choice.below(text.length), 1, ''),
  (choice, text) => { const at = choice.below(text.length); return splice(text, at, 0, text[at] ?? ''); },
  (choice, text) => { const at = choice.below(text.length); return splice(text, at, 1, String.fromCharCode(text.charCodeAt(at) ^ (1 << choice.below(8)))); },
  // Line ends.
  (choice, text) => splice(text, nth(choice, text, '\r\n'), 2, choice.pick(['\n', '\r', '\r\r\n', '\n\r', '\r\n\n', ' \r\n', '\r\n ', '\r\n\t', '\0\r\n', ''])),
  (choice, text) => (choice.once(2) ? text.replaceAll('\r\n', '\n') : text.replaceAll('\r\n', '\r')),
  // Numbers, among them lengths and chunk sizes.
  (choice, text) => replaceMatch(choice, text, /\b[0-9a-fA-F]{1,6}\b/g, (number) => choice.pick([`${number}0`, `0${number}`, `+${number}`, `-${number}`, `0x${number}`, ` ${number}`, `${number} `, `${number};`, `${number}_`, '', 'ffffffffffffffff', '7fffffffffffffff', '9007199254740993', number.toUpperCase(), `${number},${number}`])),
  // Space around the colon and in the request line.
  (choice, text) => splice(text, nth(choice, text, ':'), 1, choice.pick([' :', '\t:', '::', ';', '', ':\r\n ', ': :'])),
  (choice, text) => splice(text, nth(choice, text, ' '), 1, choice.pick(['  ', '\t', '', '\v', '\x0c', '\x1f', '\u00a0'])),
  // Whole lines: twice, away, swapped with the next.
  (choice, text) => editLine(choice, text, (line) => line + line),
  (choice, text) => editLine(choice, text, () => ''),
  (choice, text) => editLine(choice, text, (line) => line.toUpperCase()),
  (choice, text) => editLine(choice, text, (line) => line.replace(/\r\n$/, `, ${choice.pick(['chunked', '5', 'close', 'x'])}\r\n`)),
  // The end comes early, or a part comes twice.
  (choice, text) => text.slice(0, choice.below(text.length)),
  (choice, text) => { const at = choice.below(text.length); return splice(text, at, 0, text.slice(at, at + choice.between(1, 60))); },
  (choice, text) => splice(text, choice.below(text.length), choice.between(1, 40), ''),
];

function splice(text: string, at: number, remove: number, insert: string): string {
  return at < 0 ? text : text.slice(0, at) + insert + text.slice(at + remove);
}

/** Position of one of the occurrences, -1 where there is none. */
function nth(choice: Choice, text: string, what: string): number {
  const places: number[] = [];
  for (let at = text.indexOf(what); at >= 0 && places.length < 200; at = text.indexOf(what, at + 1)) places.push(at);
  return places.length === 0 ? -1 : choice.pick(places);
}

function lineStart(choice: Choice, text: string): number {
  const at = nth(choice, text, '\r\n');
  return at < 0 ? 0 : at + 2;
}

function editLine(choice: Choice, text: string, edit: (line: string) => string): string {
  const from = lineStart(choice, text);
  const end = text.indexOf('\r\n', from);
  return end < 0 ? text : text.slice(0, from) + edit(text.slice(from, end + 2)) + text.slice(end + 2);
}

function replaceMatch(choice: Choice, text: string, pattern: RegExp, replace: (match: string) => string): string {
  const matches = [...text.matchAll(pattern)].slice(0, 200);
  if (matches.length === 0) return text;
  const match = choice.pick(matches);
  return splice(text, match.index, match[0].length, replace(match[0]));
}
