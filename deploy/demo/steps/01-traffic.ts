import { until } from '../until.ts';
import { untilInSync } from '../sidecar-status.ts';
import { hopsOf } from '../shop-answer.ts';
import { askShop } from '../gateway-client.ts';
import type { Step, World } from '../world.ts';

export const traffic: Step = {
  title: 'traffic flows: client → gateway → web → orders → payments, through both sides of each sidecar',
  timeoutMs: 180_000,
  async run(world) {
    await startFleet(world);
    await until({
      label: 'a first page of the shop',
      look: async () => (await askShop({ port: world.fleet.gatewayPort, path: '/' })).status,
      holds: (status) => status === 200,
      timeoutMs: 60_000,
    });
    const answer = await world.shop('/cart/1');
    const hops = hopsOf(answer.text);
    world.check('the page passed web, orders and payments', answer.status === 200 && hops.map((hop) => hop.split(' ')[0]).join(' ') === 'web orders payments', answer.text);
    await bothVersions(world);
    await spokenBetween(world);
  },
};

async function startFleet(world: World): Promise<void> {
  const { fleet, narrator } = world;
  await fleet.startControlPlane();
  narrator.say(`the control plane listens on ${fleet.api}, its store is SQLite`);
  await meetPeople(world);
  await world.remora(['apply', '-f', 'documents/mesh.yaml', '-m', 'the shop opens'], { process: true });
  narrator.say('who may join: a token for each service and for the gateway, bound to it, for so many instances, for an hour');
  const [payments, orders, web, edge] = [await joinToken(world, ['--service', 'payments', '--uses', '2']), await joinToken(world, ['--service', 'orders', '--uses', '2']), await joinToken(world, ['--service', 'web']), await joinToken(world, ['--gateway', 'edge'])];
  narrator.say('starting web, orders v1 and v2, payments v1 and v2, a sidecar process beside each, and the gateway …');
  await Promise.all([
    fleet.startService({ service: 'payments', nodeId: 'payments-1', version: 'v1', joinToken: payments }),
    fleet.startService({ service: 'payments', nodeId: 'payments-2', version: 'v2', joinToken: payments, withoutKind: 'fault' }),
    fleet.startService({ service: 'orders', nodeId: 'orders-1', version: 'v1', joinToken: orders }),
    fleet.startService({ service: 'orders', nodeId: 'orders-2', version: 'v2', joinToken: orders }),
    fleet.startService({ service: 'web', nodeId: 'web-1', version: 'v1', joinToken: web }),
    fleet.startGateway('edge', edge),
  ]);
  await untilInSync(world, 60_000);
  await world.remora(['sidecars']);
  const { items } = await world.api<{ readonly items: readonly { readonly authenticated: boolean }[] }>('/v1/sidecars?limit=100');
  world.check('each has a certificate of its own, and is known by it', items.every(({ authenticated }) => authenticated), items);
  world.check('six sidecars are connected and in sync: five beside services, one is the gateway', fleet.members.length === 6, fleet.members.length);
}

/** The first start showed one token, which makes the others; each person has one, with a role. */
async function meetPeople(world: World): Promise<void> {
  const { people } = world.fleet;
  world.narrator.say('the API asks everybody for a token: the first one was shown at the first start, makes the first administrator, and is over');
  people.meet('demo', await apiToken(world, 'first', ['--name', 'demo', '--role', 'admin']));
  for (const name of ['ana', 'ben', 'cleo', 'fay']) people.meet(name, await apiToken(world, 'demo', ['--name', name, '--role', 'editor']));
  for (const name of ['dora', 'eva']) people.meet(name, await apiToken(world, 'demo', ['--name', name, '--role', 'editor', '--service', 'orders']));
}

async function apiToken(world: World, author: string, words: readonly string[]): Promise<string> {
  return (await world.remora(['api-token', 'create', ...words], { author, secret: true, quiet: author !== 'first' })).out.trim();
}

/** The token goes to standard output alone, and from there to the sidecar's environment. */
async function joinToken(world: World, whom: readonly string[]): Promise<string> {
  return (await world.remora(['token', 'create', ...whom], { secret: true })).out.trim();
}

interface State {
  readonly dataPlane: { readonly threads: readonly { readonly pools: readonly { readonly address: string; readonly protocol: string; readonly open: number }[] }[] };
}

/** Sidecars speak HTTP/2 with each other, and to each app what its port says. */
async function spokenBetween(world: World): Promise<void> {
  const protocols = async (nodeId: string): Promise<string[]> => {
    const { dataPlane } = await world.admin<State>(nodeId, '/state');
    const pools = dataPlane.threads.flatMap((thread) => thread.pools).filter(({ open }) => open > 0);
    return [...new Set(pools.map(({ protocol }) => protocol))].sort();
  };
  const gateway = await protocols('edge-1');
  const orders = await protocols('orders-1');
  world.check('from sidecar to sidecar it is HTTP/2 (cleartext, by prior knowledge), from a sidecar to its app HTTP/1.1', gateway.join() === 'http2' && orders.join() === 'http1,http2', { gateway, orders });
}

/** Where there is little to do the quickest is asked, and the others when what is known of them is old. */
const patienceMs = 20_000;

/** Both instances of orders and of payments take part. */
async function bothVersions(world: World): Promise<void> {
  const seen = new Set<string>();
  const endsAt = performance.now() + patienceMs;
  let pages = 0;
  while (seen.size < 5 && performance.now() < endsAt) {
    pages += 1;
    for (const hop of hopsOf((await askShop({ port: world.fleet.gatewayPort, path: `/cart/${pages}` })).text)) seen.add(hop);
  }
  world.check('both instances of orders and of payments answer', seen.size === 5, [...seen].sort());
}
