import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { askShop } from '../gateway-client.ts';
import { until } from '../until.ts';
import type { Step, World } from '../world.ts';

/** Of the requests that one consumer makes until it is told that these were too many. */
const most = 50;

export const clients: Step = {
  title: 'clients of the gateway show tokens or keys: 401 → token → 200 → 429 for each consumer by itself',
  timeoutMs: 60_000,
  async run(world) {
    const issuer = await world.fleet.startIssuer();
    world.narrator.say(`an issuer of tokens listens on ${issuer}`);
    await world.remora(['apply', '-f', writeDocuments(world, issuer), '--wait', '-m', 'who are you?'], { author: 'fay' });
    const nobody = await world.shop('/cart/12');
    world.check('without anything: 401, and what to show', nobody.status === 401 && String(nobody.headers['www-authenticate']).includes('Bearer'), nobody);
    const authorization = `Bearer ${await tokenOf(issuer, 'mobile-app')}`;
    const first = await until({ label: 'the keys of the issuer', look: () => askShop({ port: world.fleet.gatewayPort, path: '/cart/12', headers: { authorization } }), holds: ({ status }) => status !== 503, timeoutMs: 10_000 });
    world.check('with a token of the app: 200', first.status === 200, first);
    const forged = await world.shop('/cart/12', { authorization: `${authorization.slice(0, -4)}AAAA` });
    world.check('with a token that was changed: 401', forged.status === 401, forged);
    const stranger = await askShop({ port: world.fleet.gatewayPort, path: '/cart/12', headers: { authorization: `Bearer ${await tokenOf(issuer, 'somebody')}` } });
    world.check('with a good token of nobody that is known: 403, reason consumer-unmapped', stranger.status === 403 && stranger.text.includes('consumer-unmapped'), stranger);
    let last = first;
    let asked = 1;
    // One of the five comes back every 12 s: a machine that takes as long gets more than five.
    for (; asked < most && last.status === 200; asked += 1) last = await askShop({ port: world.fleet.gatewayPort, path: '/cart/12', headers: { authorization } });
    world.check('after five of a minute: 429', asked > 5 && last.status === 429 && last.text.includes('rate-limited'), { asked, ...last });
    const key = (await world.remora(['consumer', 'key', 'create', 'partner', '--wait'], { secret: true })).out.trim();
    const partner = await askShop({ port: world.fleet.gatewayPort, path: '/cart/12', headers: { 'x-api-key': key } });
    world.check('the key is good as soon as it is said to be enforced, and the partner has a limit of its own: 200', partner.status === 200, partner);
  },
};

/** The issuer took a free port. */
function writeDocuments(world: World, issuer: string): string {
  const file = path.join(world.fleet.folder, 'protected.yaml');
  writeFileSync(file, readFileSync(path.join(import.meta.dirname, '../documents/protected.yaml'), 'utf8').replaceAll('http://127.0.0.1:9999', issuer));
  return file;
}

async function tokenOf(issuer: string, client: string): Promise<string> {
  const answer = await fetch(`${issuer}/token?client=${client}`, { signal: AbortSignal.timeout(5_000) });
  return ((await answer.json()) as { readonly access_token: string }).access_token;
}
