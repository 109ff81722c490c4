import { describe, expect, test } from 'vitest';
import { buildRequestHead } from './head-builder.ts';
import { HeaderAliases } from './header-aliases.ts';
import type { Head } from './head.ts';
import { makeField } from './header-ids.ts';

function names(head: Head): string[] {
  const seen: string[] = [];
  head.forEach((name) => seen.push(name));
  return seen;
}

describe('names that only the gateway sets', () => {
  const aliases = new HeaderAliases(['x-user-id', 'authorization']);

  test.each(['x-user-id', 'X-User-Id', 'x_user_id', 'X.User.Id', 'x-user_id', 'x_user-id', 'X_USER.ID', 'Authorization'])('%s goes', (name) => {
    const head = buildRequestHead({ method: 'GET', authority: 'a', target: '/', headers: [['accept', '*/*'], [name, '1'], [name, '2'], ['x-user', '3']] });
    head.removeAliases(aliases);
    expect(names(head).filter((one) => one !== 'host')).toEqual(['accept', 'x-user']);
  });

  test.each(['x-user-i', 'x-user-idd', 'xuser-id', 'x+user-id', 'x-user-id-', 'cookie', 'x'])('%s stays', (name) => {
    const head = buildRequestHead({ method: 'GET', authority: 'a', target: '/', headers: [[name, '1']] });
    head.removeAliases(aliases);
    expect(names(head)).toContain(name);
  });

  test('names that every process knows have other spellings too, whichever of them is the configured one', () => {
    const known = new HeaderAliases(['x_request_id', 'X-Forwarded-For']);
    const head = buildRequestHead({ method: 'GET', authority: 'a', target: '/', headers: [['X-Request-Id', '1'], ['x_forwarded.for', '2'], ['x-forwarded-for', '3'], ['via', '4']] });
    head.put(makeField('x-request-id', '5'));
    head.put(makeField('traceparent', '6'));
    head.put(makeField('x.forwarded.for', '7'));
    head.removeAliases(known);
    expect(names(head).filter((one) => one !== 'host')).toEqual(['via', 'traceparent']);
  });

  test('names as text', () => {
    expect(['X-User_ID', 'x.user.id', 'x-user-i', 'x-user-idd', 'x\u012duser-id', 'x\u{1f600}ser-id'].map((name) => aliases.matchesName(name))).toEqual([true, true, false, false, false, false]);
  });

  test('what a filter before has put goes too; a fork keeps what it had', () => {
    const head = buildRequestHead({ method: 'GET', authority: 'a', target: '/', headers: [['x_user_id', '1']] });
    head.put(makeField('x-user-id', '2'));
    const fork = head.fork();
    head.removeAliases(aliases);
    expect(names(head).filter((one) => one !== 'host')).toEqual([]);
    expect(names(fork).filter((one) => one !== 'host')).toEqual(['x_user_id', 'x-user-id']);
  });
});
