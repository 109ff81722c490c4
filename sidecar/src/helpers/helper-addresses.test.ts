import { describe, expect, test } from 'vitest';
import { addressRule, mayConnect } from './helper-addresses.ts';

const inside = [
  '127.0.0.1', '10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1', '169.254.169.254', '100.64.0.1', '0.0.0.0', '198.18.0.1', '::1', '::', 'fe80::1', 'fc00::1', 'fd12::1',
  '::ffff:127.0.0.1', '::ffff:a00:1', '64:ff9b::a00:1', '2002:7f00:1::', '::127.0.0.1',
];
const outside = ['8.8.8.8', '::ffff:8.8.8.8', '1.1.1.1', '172.32.0.1', '192.167.1.1', '100.128.0.1', '11.0.0.1', '2606:4700::1111', '2a00::1'];
const nobody = ['224.0.0.1', '255.255.255.255', '240.0.0.1', 'ff02::1'];

describe('addresses that helper requests may connect to', () => {
  test.each(inside)('%s is private', (address) => {
    expect([mayConnect('public', address), mayConnect('private', address), mayConnect('any', address)]).toEqual([false, true, true]);
  });

  test.each(outside)('%s is public', (address) => {
    expect([mayConnect('public', address), mayConnect('private', address), mayConnect('any', address)]).toEqual([true, false, true]);
  });

  test.each([...nobody, ''])('%s is nobody\'s', (address) => {
    expect([mayConnect('public', address), mayConnect('private', address)]).toEqual([false, false]);
  });

  test.each([
    ['https://a.example', false, 'public'], ['https://a.example', true, 'any'], ['http://a.example', true, 'private'], ['http://a.example', false, null],
    ['ftp://a.example', true, null], ['file:///etc/passwd', true, null], ['https://user@a.example', true, null],
  ] as const)('%s, private ones allowed: %s', (url, allowed, rule) => {
    expect(addressRule(new URL(url), allowed)).toBe(rule);
  });
});
