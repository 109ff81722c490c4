import { expect, test } from 'vitest';
import { strangeBytes } from './strange-bytes.ts';

test.each([
  ['TLS', Buffer.from([0x15, 0x03, 0x01, 0, 2, 2, 0x46]), 'it speaks TLS: it begins with "\\x15\\x03\\x01\\x00\\x02\\x02F"'],
  ['HTTP/2', Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]), 'it speaks HTTP/2: it begins with "\\x00\\x00\\x00\\x04\\x00\\x00\\x00\\x00\\x00"'],
  ['SSH', Buffer.from('SSH-2.0-OpenSSH_9.6\r\n'), 'no HTTP/1.1: it begins with "SSH-2.0-OpenSSH_9.6\\x0d\\x0a"'],
  ['more than is shown', Buffer.alloc(100, 'x'), `no HTTP/1.1: it begins with "${'x'.repeat(32)}"`],
  ['nothing', Buffer.alloc(0), ''],
])('%s', (_, bytes, text) => {
  expect(strangeBytes(bytes)).toBe(text);
});
