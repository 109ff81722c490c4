import { busyPartner } from '../partner.ts';
import { innermost } from '../shop-answer.ts';
import { untilInSync } from '../sidecar-status.ts';
import { startTraffic, type Traffic } from '../traffic.ts';
import { until } from '../until.ts';
import type { Step, World } from '../world.ts';

const instances = ['payments-1', 'payments-2', 'payments-3'];

export const outage: Step = {
  title: 'an outage: one of three payments fails, is left out and returns; then all fail, and something else answers; no client sees an error',
  timeoutMs: 120_000,
  async run(world) {
    const key = await prepare(world);
    const traffic = startTraffic({ port: world.fleet.gatewayPort, path: '/cart/14', connections: 4, headers: { 'x-api-key': key }, classify });
    try {
      await traffic.more(100, 30_000);
      await oneFails(world, traffic);
      await allFail(world, traffic);
    } finally {
      await traffic.stop();
    }
    world.narrator.say([...traffic.counts].map(([what, count]) => `${count} ${what}`).join(', '));
    world.check(`none of ${traffic.sent} clients saw an error`, traffic.failures.length === 0, traffic.failures.slice(0, 3));
  },
};

/** Paid now, or told that it is done later. */
function classify({ status, text }: { readonly status: number; readonly text: string }): string | null {
  if (status !== 200) return null;
  // Payments is the end of the chain: where it answered there is nothing behind it.
  const answer = innermost(text) as { readonly paid?: string } | null | undefined;
  return answer === undefined ? 'paid' : answer?.paid === 'later' ? 'to be paid later' : null;
}

/** A third instance, and what callers of payments do when they fail. */
async function prepare(world: World): Promise<string> {
  const { fleet } = world;
  const joinToken = (await world.remora(['token', 'create', '--service', 'payments'], { secret: true, quiet: true })).out.trim();
  await fleet.startService({ service: 'payments', nodeId: 'payments-3', version: 'v1', joinToken });
  await untilInSync(world, 20_000);
  await world.remora(['apply', '-f', 'documents/outage.yaml', '--wait', '-m', 'payments may fail']);
  return (await busyPartner(world)).key;
}

interface Health {
  readonly troubles: readonly { readonly event: string; readonly host: string; readonly detail: string }[];
}

function troubles(world: World, label: string, holds: (health: Health) => boolean): Promise<Health> {
  return until({ label, look: () => world.api<Health>('/v1/services/payments/health'), holds, timeoutMs: 20_000 });
}

async function oneFails(world: World, traffic: Traffic): Promise<void> {
  const { fleet, narrator } = world;
  narrator.say('payments-3 breaks: it answers 503 to everybody');
  fleet.member('payments-3').app?.write('fail 503');
  const { troubles: held } = await troubles(world, 'somebody leaves payments-3 out', ({ troubles: all }) => all.some(({ event }) => event === 'ejected'));
  const trouble = held.find(({ event }) => event === 'ejected');
  await world.remora(['health', 'payments']);
  const host = `127.0.0.1:${fleet.member('payments-3').ports.inbound}`;
  world.check('its callers left it out, and say after which figures', trouble?.host === host && trouble.detail === 'consecutive-5xx, 3 of 3', trouble);
  narrator.say('payments-3 is mended');
  fleet.member('payments-3').app?.write('fail 0');
  await troubles(world, 'payments-3 is used again', ({ troubles: all }) => all.every(({ event }) => event !== 'ejected'));
  await traffic.more(100, 20_000);
}

async function allFail(world: World, traffic: Traffic): Promise<void> {
  const { fleet, narrator } = world;
  narrator.say('now every instance of payments breaks');
  for (const name of instances) fleet.member(name).app?.write('fail 503');
  await troubles(world, 'the breaker of orders opens', ({ troubles: all }) => all.some(({ event }) => event === 'opened'));
  await world.remora(['health', 'payments']);
  const later = traffic.counts.get('to be paid later') ?? 0;
  await traffic.more(100, 20_000);
  world.check('the shop goes on: what is bought is paid later', (traffic.counts.get('to be paid later') ?? 0) - later > 90, Object.fromEntries(traffic.counts));
  narrator.say('payments are mended');
  for (const name of instances) fleet.member(name).app?.write('fail 0');
  // Each sidecar of orders has a breaker of its own, and lets a call through when it has been open long enough.
  const late = await until({ label: 'a hundred in a row are paid at once', look: () => paidLater(traffic, 100), holds: (count) => count === 0, timeoutMs: 30_000 });
  world.check('the breakers have closed, and everything is paid at once', late === 0, Object.fromEntries(traffic.counts));
  await troubles(world, 'nobody holds anything against payments', ({ troubles: all }) => all.length === 0);
}

/** How many of the next requests are not paid at once. */
async function paidLater(traffic: Traffic, requests: number): Promise<number> {
  const before = traffic.counts.get('to be paid later') ?? 0;
  await traffic.more(requests, 20_000);
  return (traffic.counts.get('to be paid later') ?? 0) - before;
}
