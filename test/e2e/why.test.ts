import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../processes/until.ts';
import { Fixture } from './fixture.ts';
import { startShop, type Behaviour, type Shop, type ShopAnswer } from './shop.ts';

/** A way to fail, and what `remora why` must say of it. */
interface Row {
  readonly name: string;
  /** Sections of a policy for `target`, applied with `--wait`; '' for none. */
  readonly policy: string;
  readonly target?: string;
  readonly payments: Behaviour;
  /** What happens before the request that is asked about. */
  readonly before?: (shop: Shop) => Promise<void>;
  /** The request that is asked about, where it is not just one. */
  readonly ask?: (shop: Shop) => Promise<ShopAnswer>;
  readonly status: number;
  /** Parts of the first line, in their order. */
  readonly summary: readonly (string | RegExp)[];
  /** Parts of the rest. */
  readonly details: readonly (string | RegExp)[];
}

const chain = 'edge-1 → orders-1 (ok) → payments: ';
/** Ejections are judged and hosts are left out whatever share of them it is. */
const noPanic = 'loadBalancing: {panicThreshold: 0%}';

/** The first of several at once that was refused: the others are under way, and end with the test's row. */
async function firstRefused(shop: Shop): Promise<ShopAnswer> {
  const answers = Array.from({ length: 4 }, () => shop.ask());
  return await Promise.any(answers.map(async (one) => {
    const answer = await one;
    if (answer.status === 200 || answer.status === 504) throw new Error('it was served, or waited for');
    return answer;
  }));
}

async function failUntil(shop: Shop, reached: (answer: ShopAnswer) => boolean): Promise<void> {
  await until('enough has failed', () => shop.ask(), reached);
}

const rows: readonly Row[] = [
  {
    name: 'all hosts taken out by hand', policy: noPanic, payments: 'good',
    async before(shop) {
      for (const port of shop.ports) expect(await shop.remora('eject', 'payments', `127.0.0.1:${port}`, '--reason', 'disks are full')).toMatchObject({ code: 0 });
      await failUntil(shop, ({ body }) => body.includes('no-healthy-upstream'));
    },
    status: 503, summary: [chain, 'refused by orders-1', /snapshot \d+: 3 of 3 hosts taken-out \(/, 'disks are full'],
    details: ['reason      no-healthy-upstream (flag UH)', 'hosts       0 of 3 could be used', /left out {4}127\.0\.0\.1:\d+ {2}taken-out until/, '503 passed on by edge-1', 'no other    another attempt would meet the same'],
  },
  {
    name: 'all hosts ejected', policy: `${noPanic}\noutlierDetection: {consecutive5xx: 3, maxEjected: 100%, baseEjection: 1h, maxEjection: 1h}`, payments: 'failing',
    before: (shop) => failUntil(shop, ({ body }) => body.includes('no-healthy-upstream')),
    status: 503,
    summary: [chain, 'refused by orders-1', '3 of 3 hosts ejected (consecutive-5xx, 3 of 3, ', 'ago), outlierDetection of policy row (/outlierDetection/consecutive5xx), revision', 'by '],
    details: ['hosts       0 of 3 could be used', /left out {4}127\.0\.0\.1:\d+ {2}ejected until .*: consecutive-5xx, 3 of 3/, 'tried       1  no host  no-healthy-upstream'],
  },
  {
    name: 'an open breaker', policy: 'circuitBreaker: {consecutiveFailures: 2, open: {base: 1m, max: 1m}}', payments: 'failing',
    before: (shop) => failUntil(shop, ({ body }) => body.includes('circuit-open')),
    status: 503, summary: [chain, 'refused by orders-1', 'the breaker is open (', 'circuitBreaker of policy row (/circuitBreaker/', 'revision'],
    details: ['reason      circuit-open', 'held        opened:', 'tried       1  no host  circuit-open  0 ms'],
  },
  {
    name: 'a threshold', policy: 'circuitBreaker: {thresholds: {requests: 1, retries: 0}}\nretry: {retries: 0}\ntimeout: {request: 3s}', payments: 'silent', ask: firstRefused,
    status: 503, summary: [chain, 'upstream-overflow: ', 'circuitBreaker of policy row (/circuitBreaker/thresholds/requests)'], details: ['reason      upstream-overflow (flag UO)'],
  },
  {
    name: 'a budget of retries that is spent', policy: 'retry: {retries: 2, retryOn: [503], budget: {ratio: 1%, minPerSecond: 0}}', payments: 'failing',
    status: 503, summary: [chain, /127\.0\.0\.1:\d+ answered 503, no sidecar refused it, retry of policy row \(\/retry\/budget\)/],
    details: [/tried {7}1 {2}127\.0\.0\.1:\d+ {2}answered 503 {2}\d+ ms/, 'no other    the budget of retries to this destination is spent, /retry/budget of row', '503 passed on by orders-1 (service/orders, inbound)', 'retryOn does not name this failure, /retry/retryOn by default'],
  },
  {
    name: 'a limit of each attempt', policy: 'timeout: {perTry: 150ms, request: 5s}\nretry: {retries: 1, retryOn: [reset], budget: {ratio: 100%}}', payments: 'silent',
    status: 504, summary: [chain, 'refused by orders-1', 'upstream-timeout: the limit of 150 ms has passed', 'timeout of policy row (/timeout/perTry)'],
    details: [/tried {7}1 {2}127\.0\.0\.1:\d+ {2}upstream-timeout {2}\d+ ms: the limit of 150 ms has passed, \/timeout\/perTry of row/, /tried {7}2 {2}127/, 'no other    all retries have been made, /retry/retries of row'],
  },
  {
    name: 'connections that break', policy: 'retry: {retries: 1, retryOn: [reset], budget: {ratio: 100%}}', payments: 'breaking',
    status: 502, summary: [chain, 'refused by orders-1', /upstream-reset at 127\.0\.0\.1:\d+ after \d+ ms; all retries have been made/, 'retry of policy row (/retry/retries)'], details: [/tried {7}2 {2}127\.0\.0\.1:\d+ {2}upstream-reset/],
  },
  {
    name: 'a deadline at the edge', policy: 'timeout: {request: 200ms}', target: '{service: orders}', payments: 'silent',
    status: 504, summary: ['edge-1 → orders: refused by edge-1', 'upstream-timeout: the limit of 200 ms has passed', 'timeout of policy row (/timeout/request)'], details: [/tried {7}1 {2}127\.0\.0\.1:\d+ \(orders-1\) {2}upstream-timeout/],
  },
  {
    name: 'load that the provider sheds', policy: 'concurrency: {mode: fixed, limit: 1, minLimit: 1}', target: '{service: orders}', payments: 'silent', ask: firstRefused,
    status: 503, summary: ['edge-1 → orders-1: refused by orders-1', 'concurrency of policy row'], details: ['503 passed on by edge-1', /tried {7}1 {2}127\.0\.0\.1:\d+ \(orders-1\) {2}answered 503/],
  },
  {
    name: 'an app that fails by itself', policy: 'retry: {retries: 0}', payments: 'failing',
    status: 503, summary: [chain, /127\.0\.0\.1:\d+ answered 503, no sidecar refused it/], details: [/tried {7}1 {2}127\.0\.0\.1:\d+ {2}answered 503/],
  },
];

const gone: Row = {
  name: 'instances that are gone', policy: 'retry: {retries: 1, budget: {ratio: 100%}}', payments: 'good',
  async before(shop) {
    await Promise.all(shop.instances.map((instance) => instance.stop()));
  },
  status: 503, summary: [chain, 'refused by orders-1', /connect-failure at 127\.0\.0\.1:\d+ after \d+ ms; all retries have been made/, 'retry of policy row (/retry/retries)'],
  details: [/tried {7}1 {2}127\.0\.0\.1:\d+ {2}connect-failure/, /tried {7}2 {2}127\.0\.0\.1:\d+ {2}connect-failure/, /left out {4}127\.0\.0\.1:\d+ {2}passed-over until/],
};

describe('remora why of a 503 in the night', () => {
  const fixture = new Fixture();
  let shop: Shop;

  beforeAll(async () => {
    shop = await startShop(fixture);
  }, 120_000);

  afterAll(async () => {
    await fixture.end();
    await shop.close();
  });

  test.for(rows)('$name', { timeout: 120_000 }, (row) => expectWhy(shop, row));

  test('the lines of a night, as they are typed', { timeout: 120_000 }, async () => {
    const applied = async (yaml: string): Promise<number> => ((await shop.controlPlane.apply(yaml, '?wait=applied&timeout=60s'))['revision'] as { readonly revision: number }).revision;
    const calm = await applied('{kind: Policy, name: row, target: {service: payments}, outlierDetection: {consecutive5xx: 50}}');
    const harsh = await applied(`kind: Policy\nname: row\ntarget: {service: payments}\noutlierDetection: {consecutive5xx: 3, maxEjected: 100%, baseEjection: 1h, maxEjection: 1h}\n${noPanic}\n`);
    for (const instance of shop.instances) instance.behaviour = 'failing';
    await failUntil(shop, ({ body }) => body.includes('no-healthy-upstream'));
    const says = async (...args: string[]): Promise<string> => {
      const { code, out, err } = await shop.remora(...args);
      expect({ args, code, err }).toMatchObject({ code: 0 });
      return out;
    };

    await until('the fleet knows', () => says('health', 'payments'), (text) => text.includes('1 of 1 callers') && text.split('consecutive-5xx, 3 of 3').length === 4);
    expect(await says('health')).toMatch(/payments: 1 of 1 callers.*\n(?:.*\n)*?.*127\.0\.0\.1:\d+ +ejected +1 of 1/);
    expect(await says('explain', '--caller', 'orders', '--service', 'payments', '--field', '/outlierDetection')).toMatch(/\/outlierDetection\/consecutive5xx = 3 /);
    expect(await says('explain', '--caller', 'orders', '--service', 'payments', '--field', '/outlierDetection', '--at', String(calm))).toMatch(/\/outlierDetection\/consecutive5xx = 50 /);
    // A time of the day: what held when that minute began, which may be before anything did.
    expect((await shop.remora('explain', '--caller', 'orders', '--service', 'payments', '--at', new Date().toISOString().slice(11, 16))).err).not.toContain('--at');
    const asJson = await says('why', String((await shop.ask()).headers['x-request-id']), '--output', 'json');
    expect(JSON.parse(asJson)).toMatchObject({ decided: expect.any(Number), refusals: expect.arrayContaining([expect.objectContaining({ destination: 'payments' })]) });
    expect(await says('history', '--since', '30m')).toMatch(new RegExp(`^\\s*${harsh} `, 'm'));
    expect(await says('diff', String(calm), String(harsh))).toContain('consecutive5xx');

    const tap = says('tap', 'orders', '--path', '/api/orders', '--status', '5xx', '--for', '3s');
    let asking = true;
    const traffic = (async () => {
      while (asking) await shop.ask();
    })();
    const tapped = await tap;
    asking = false;
    await traffic;
    expect(tapped).toMatch(/orders-1 inbound {2}GET [^ ]*\/api\/orders {2}503/);
    expect(tapped).toMatch(/[1-9]\d* requests seen at 1 sidecars/);

    for (const instance of shop.instances) instance.behaviour = 'good';
    expect(await says('uneject', 'payments', '127.0.0.1')).toContain('callers of payments use it again');
    await until('payments is back', () => shop.ask(), ({ status }) => status === 200);
    expect(await says('revert', String(harsh), '--wait')).toMatch(/enforced|applied/);
    expect(await says('explain', '--caller', 'orders', '--service', 'payments', '--field', '/outlierDetection')).toMatch(/\/outlierDetection\/consecutive5xx = 50 /);
  });

  test('a sidecar that is gone: what it reported last stays readable', { timeout: 120_000 }, async () => {
    const answer = await refusedByEdge();
    const id = String(answer.headers['x-request-id']);
    // It reports each second; a question is answered by what was reported once the sidecar is not there to answer.
    await until('it has reported', async () => (await fetch(`${shop.controlPlane.api}/v1/telemetry/refusals?limit=100`)).json() as Promise<{ readonly items: readonly { readonly nodeId: string; readonly requestId: string }[] }>, ({ items }) => items.some((one) => one.nodeId === 'edge-1' && one.requestId === id));
    shop.edge.process.kill('SIGKILL');
    await until('it is gone', async () => (await shop.remora('why', id)).out, (out) => out.includes(`refused by edge-1`) && !out.includes('did not answer'));
  });

  async function refusedByEdge(): Promise<ShopAnswer> {
    await shop.apply('{kind: Policy, name: row, target: {service: orders}, timeout: {request: 200ms}}');
    for (const instance of shop.instances) instance.behaviour = 'silent';
    return await until('the edge refuses', () => shop.ask(), ({ status }) => status === 504);
  }

  // As before the row: nothing is held against anybody.
  afterEach(async () => {
    await shop.calmDown();
  }, 120_000);
});

describe('remora why of calls to instances that are gone', () => {
  const fixture = new Fixture();

  afterAll(() => fixture.end());

  test('says that none could be connected, and which were passed over', { timeout: 120_000 }, async () => {
    const shop = await startShop(fixture);
    await expectWhy(shop, gone);
    await shop.close();
  });
});

/** Lets it happen, and asks why. */
async function expectWhy(shop: Shop, { policy, target = '{service: payments}', payments, before, ask, status, summary, details }: Row): Promise<void> {
  await shop.apply(`kind: Policy\nname: row\ntarget: ${target}\n${policy}\n`);
  for (const instance of shop.instances) instance.behaviour = payments;
  await before?.(shop);
  const answer = await (ask ?? ((of: Shop) => of.ask()))(shop);
  expect(answer).toMatchObject({ status });
  const { code, out } = await shop.remora('why', String(answer.headers['x-request-id']));
  expect({ code, out }).toMatchObject({ code: 0 });
  expectInOrder(out.slice(0, out.indexOf('\n')), summary, out);
  for (const part of details) expect(out).toMatch(part);
}

function expectInOrder(line: string, parts: readonly (string | RegExp)[], whole: string): void {
  let rest = line;
  for (const part of parts) {
    const at = typeof part === 'string' ? rest.indexOf(part) : rest.search(part);
    expect(at, `${String(part)} is not in ${JSON.stringify(rest)} of\n${whole}`).toBeGreaterThanOrEqual(0);
    rest = rest.slice(at);
  }
}
