import { celEnv, isCelError, parse, plan } from '@bufbuild/cel';
import type { Json } from '@remora/core/canonical-json';
import { makeExchange, type ExchangeStep } from '@remora/testing/exchange-driver';
import { ManualClock } from '@remora/testing/manual-clock';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Exchange } from './exchange.ts';
import { expressionLimits } from './expression-limits.ts';
import { buildExpression } from './expression-run.ts';
import { ExpressionFailure } from './expression-values.ts';
import { checkExpression, compileExpression } from './expression.ts';
import { RequestIdentity } from './request-identity.ts';
import { WireError } from './runtime-kind.ts';

const claims = JSON.parse(JSON.stringify({
  sub: 'u1', level: 3, ratio: 0.5, admin: true, nothing: null, roles: ['reader', 'editor'], realm_access: { roles: ['a', 'b'] }, 'https://x.example/tier': 'gold', empty: [],
})) as Record<string, Json>;
const domain = { get: () => 'shop.example' };
const step: ExchangeStep = {
  request: {
    method: 'POST', authority: 'orders.example', target: '/v1/orders/42?v=1&v=2&x=a%20b', headers: { 'x-role': ['user', 'admin'], 'x-one': 'café' },
  },
  clientAddress: '10.1.2.3', connection: { principal: 'spiffe://shop.example/service/web' },
};

function exchange(own: Record<string, Json> = claims): Exchange {
  const x = makeExchange(step, { clock: new ManualClock() });
  x.identity = new RequestIdentity();
  x.identity.finds('jwt', { consumer: { name: 'mobile', groups: ['gold', 'partners'], plan: 'big' }, subject: 'u1', issuer: 'i', claims: own, scopes: ['read', 'write'] });
  return x;
}

function ask(text: string, given?: Exchange): boolean | string {
  const result = checkExpression(text);
  if (!result.ok) return `${result.code} at ${result.offset}`;
  const holds = buildExpression(result.program, '/when', domain);
  // Heads know the headers that settings name when they arrive.
  const value = holds(given ?? exchange());
  return value instanceof ExpressionFailure ? 'failed' : value;
}

describe('expressions', () => {
  test.each<[string, boolean | 'failed']>([
    ['true', true], ['request.method == "POST"', true], ['request.path.startsWith("/v1/")', true], ['request.host == "orders.example"', true],
    ['request.headers["x-role"].exists(v, v == "admin")', true], ['"admin" in request.headers["X-Role"]', true], ['request.headers["x-role"].all(v, v == "admin")', false],
    ['request.headers["x-none"].size() == 0', true], ['"x-role" in request.headers', true], ['has(request.headers.x_none)', false], ['request.headers["x-role"][1] == "admin"', true],
    ['request.query["v"] == ["1", "2"]', true], ['request.query["x"] == ["a b"]', true], ['"y" in request.query', false],
    ['caller.service == "web" && caller.id.endsWith("/service/web")', true], ['connection.address == "10.1.2.3"', true],
    ['consumer.name == "mobile" && "gold" in consumer.groups && consumer.plan == "big"', true], ['"write" in scopes', true], ['scopes.exists(s, s.startsWith("adm"))', false],
    ['claims.sub == "u1"', true], ['claims["https://x.example/tier"] == "gold"', true], ['claims.realm_access.roles.exists(r, r == "b")', true], ['claims.level >= 3', true],
    ['claims.level + 1 > 3', true], ['claims.ratio < 1', true], ['claims.admin', true], ['claims.nothing == null', true], ['has(claims.nothing)', true], ['has(claims.missing)', false],
    ['claims.missing == "x"', 'failed'], ['claims.missing == "x" || true', true], ['claims.missing == "x" && false', false], ['has(claims.missing) && claims.missing == "x"', false],
    ['claims.sub', 'failed'], ['claims.sub > 1', 'failed'], ['claims.level == "3"', false], ['claims.empty.all(x, false)', true], ['claims.roles[5] == "x"', 'failed'],
    ['claims.roles.filter(r, r.contains("edit")).size() == 1', true], ['claims.roles.map(r, r + "s") == ["readers", "editors"]', true], ['claims.roles.exists_one(r, r != "")', false],
    ['"toString" in claims', false], ['has(claims.constructor)', false], ['claims.__proto__ == null', 'failed'], ['claims["hasOwnProperty"] == "x"', 'failed'],
    ['5 / 2 == 2', true], ['-7 % 3 == -1', true], ['5.0 / 2.0 == 2.5', true], ['1 / 0 == 1', 'failed'], ['1 == 1.0', true], ['9007199254740991 + 1 > 0', 'failed'], ['2 * -3 == -6', true],
    ['"abc".matches("^a.c$")', true], ['"xabcx".matches("abc")', true], ['matches("xabcx", "^abc")', false], ['"a\\nb".matches("b$")', true],
    ['size("héllo") == 5 && size("😀") == 1', true], ['"B" < "a"', true], ['"\\uFFFF" < "😀"', true], ['request.method in ["GET", "POST"]', true], ['"a" in []', false],
    ['request.method == "GET" ? false : true', true], ['!(1 > 2)', true], ['"ÄB".lowerAscii() == "Äb"', true], ['"a,b".split(",") == ["a", "b"]', true],
    ['now < timestamp("2026-01-01T00:00:01Z") && now >= timestamp("2026-01-01T00:00:00Z")', true], ['now - timestamp("2025-12-31T23:00:00Z") == duration("1h")', true],
    ['now.getHours() == 0 && now.getDayOfWeek() == 4 && now.getFullYear() == 2026', true], ['int("12") == 12 && string(12) == "12" && double("1.5") == 1.5', true], ['int("1x") == 1', 'failed'],
    ['[1, 2].exists(a, [2, 3].exists(b, a == b))', true], ['timestamp("2026-02-30") == now', 'failed'],
  ])('%s: %j', (text, expected) => {
    expect(ask(text)).toBe(expected);
  });

  test.each<[string, string]>([
    ['', 'bad-expression at 0'], ['a +', 'bad-expression at 2'], ['request.methods == "GET"', 'unknown-name at 7'], ['methd == "GET"', 'unknown-name at 0'], ['request.method == 1', 'wrong-type at 15'],
    ['request.method', 'wrong-type at 0'], ['request', 'unknown-name at 0'], ['1u == 1u', 'not-available at 0'], ['b"x" == b"x"', 'not-available at 0'], ['{"a": 1}.a == 1', 'not-available at 0'],
    ['request.headers.size() > 1', 'not-available at 7'], ['request.headers[request.method] == []', 'not-available at 7'], ['"a".matches(request.path)', 'not-available at 11'],
    ['"a".matches("(")', 'bad-expression at 11'], ['"a".matches("(?=a)")', 'bad-expression at 11'], ['foo(1)', 'unknown-name at 3'], ['"a".foo()', 'unknown-name at 7'],
    ['[1].exists(a, [1].exists(b, [1].exists(c, true)))', 'too-costly at 32'], [`${'('.repeat(30)}true${')'.repeat(30)}`, 'too-deep at 24'], ['x'.repeat(expressionLimits.textMax + 1), 'too-long at 0'],
    [Array.from({ length: 150 }, () => '1==1').join('&&'), 'too-costly at 0'], ['"a" && true', 'wrong-type at 4'], ['claims.a.matches("a{1000}")', 'bad-expression at 16'], ['type(1) == int', 'unknown-name at 4'],
  ])('%s is refused: %s', (text, expected) => {
    const answer = ask(text);
    expect(typeof answer === 'string' ? answer.replace(/at \d+$/, '') : answer).toBe(expected.replace(/at \d+$/, ''));
  });

  test('says where the mistake is, and what was meant', () => {
    expect(checkExpression('true && request.methd == "GET"')).toMatchObject({ code: 'unknown-name', offset: 15, suggestion: 'request.method' });
    expect(checkExpression('true && (1 < "a")')).toMatchObject({ code: 'wrong-type', offset: 10 });
    expect(checkExpression('true &&')).toMatchObject({ code: 'bad-expression' });
  });

  test('names such as __proto__ are names', () => {
    const own = JSON.parse('{"__proto__": {"admin": true}, "constructor": "c", "nested": {"__proto__": ["x"]}}') as Record<string, Json>;
    expect(ask('claims.__proto__.admin', exchange(own))).toBe(true);
    expect(ask('claims.constructor == "c" && !has(claims.admin)', exchange(own))).toBe(true);
    expect(ask('"x" in claims.nested.__proto__', exchange(own))).toBe(true);
    expect(ask('claims.exists(k, k == "__proto__")', exchange(own))).toBe(true);
  });

  test('nothing that a client sends makes it take more than its steps', () => {
    const long = 'a'.repeat(30_000);
    const own: Record<string, Json> = { list: Array.from({ length: 3_000 }, (_, i) => i), long, half: `${'a'.repeat(14_000)}b`, deep: Array.from({ length: 400 }, () => Array.from({ length: 100 }, () => 'x')) };
    for (const text of [
      'claims.list.all(a, claims.list.all(b, a >= 0 || b >= 0))', 'claims.long.contains(claims.half)', 'claims.list.map(a, claims.list) == []', 'claims.deep == claims.deep.map(d, d)',
      'claims.long.matches("(a|b)*c")', '(claims.long + claims.long).size() > 0', 'claims.list.all(n, claims.half.matches("a+b"))',
    ]) {
      const before = process.cpuUsage().user;
      expect(ask(text, exchange(own)), text).toBe('failed');
      expect(process.cpuUsage().user - before, text).toBeLessThan(500_000);
    }
  });

  test.each(['', '[]', '{}', '["call"]', '["constant", {}]', '["variable", "toString"]', '["call", "constructor", ["constant", 1]]', '["matches", ["constant", "a"], "("]', '["local", 1.5]', '[["a"]]'])('program %s is refused', (program) => {
    expect(() => buildExpression(program, '/rules/a/when', domain)).toThrow(WireError);
  });

  test('a program deeper or larger than any that is made is refused', () => {
    expect(() => buildExpression(`${'["call","!_",'.repeat(100)}["constant",true]${']'.repeat(100)}`, '/when', domain)).toThrow(WireError);
    expect(() => buildExpression(JSON.stringify(['list', ...Array.from({ length: 600 }, () => ['constant', 1])]), '/when', domain)).toThrow(WireError);
  });
});

describe('beside the library', () => {
  const env = celEnv();
  const leaf = fc.constantFrom(
    'true', 'false', 'claims.admin', 'claims.missing', 'has(claims.missing)', 'claims.sub == "u1"', '"editor" in claims.roles', 'claims.level > 2.0', 'claims.nothing == null',
    'claims.roles.exists(r, r == "reader")', 'claims.roles.all(r, r.startsWith("e"))', 'claims.realm_access.roles[0] == "a"', 'size(claims.roles) == 2', '"abc".matches("b")', '1 + 2 * 3 == 7', '7 / 2 == 3', '[1, 2] == [1, 2]',
    'claims.roles.filter(r, r != "reader") == ["editor"]', 'claims.sub < "u2"', '-3 % 2 == -1', 'claims.roles[9] == "x"', '"x".contains("")', 'timestamp("2026-01-01T00:00:00Z") < timestamp("2026-01-02T00:00:00Z")',
    'duration("90s") == duration("1m30s")',
  );
  const { tree } = fc.letrec<{ tree: string }>((tie) => ({
    tree: fc.oneof({ depthSize: 'small' }, leaf, fc.tuple(tie('tree'), fc.constantFrom('&&', '||', '=='), tie('tree')).map(([a, op, b]) => `(${a} ${op} ${b})`), tie('tree').map((a) => `!(${a})`), fc.tuple(tie('tree'), tie('tree'), tie('tree')).map(([c, a, b]) => `(${c} ? ${a} : ${b})`)),
  }));

  test('answers, and fails, as the reference evaluator does', () => {
    fc.assert(fc.property(tree, (text) => {
      const result = checkExpression(text);
      if (!result.ok) return;
      const own = buildExpression(compileExpression(text), '/when', domain)(exchange());
      const theirs = plan(env, parse(text))({ claims: claims as never });
      expect(own instanceof ExpressionFailure ? 'failed' : own, text).toBe(isCelError(theirs) || typeof theirs !== 'boolean' ? 'failed' : theirs);
    }), { numRuns: 500 });
  });
});
