import { tokenIssuer } from '../../token-issuer.ts';
import { example } from '../playground.ts';

await example('A protected route: tokens, keys, limits for each consumer, and who may do what', async (play) => {
  let issuer = '';
  const issuerPort = await play.app('issuer', tokenIssuer(() => issuer));
  issuer = `http://127.0.0.1:${issuerPort}`;
  const folder = await play.copy(import.meta.dirname, { 3001: await play.app('orders'), 3002: issuerPort });
  await play.remora(['validate', '-f', folder]);
  const port = await play.run(folder);
  const ask = (headers: Readonly<Record<string, string>>, target = '/api/orders/1'): ReturnType<typeof play.get> => play.get(port, target, { origin: 'https://shop.example', ...headers });
  const bearer = async (client: string): Promise<string> => {
    const answer = await fetch(`${issuer}/token?client=${client}`, { signal: AbortSignal.timeout(5_000) });
    return `Bearer ${((await answer.json()) as { readonly access_token: string }).access_token}`;
  };

  const nobody = await play.until('the route answers', () => ask({}), ({ status }) => status === 401);
  play.check('without a credential: 401, and what to show', String(nobody.headers['www-authenticate']).includes('Bearer'), nobody.headers);
  play.check('a browser may read the refusal', nobody.headers['access-control-allow-origin'] === 'https://shop.example', nobody.headers);
  play.check('health is exempt', (await ask({}, '/api/orders/health')).status === 200, 'another status');

  const authorization = await bearer('mobile-app');
  const first = await play.until('the issuer\'s keys are there', () => ask({ authorization, 'x-user-id': 'root' }), ({ status }) => status !== 503);
  play.check('with a token: 200; the app hears who it is, and not what the client says', first.status === 200 && first.text.includes('"x-user-id":"mobile-app"') && !first.text.includes('root'), first);
  play.check('a good token of nobody that is known: 403', (await ask({ authorization: await bearer('somebody') })).text.includes('consumer-unmapped'), 'another answer');
  play.check('a token that was changed: 401', (await ask({ authorization: `${authorization.slice(0, -4)}AAAA` })).status === 401, 'another status');
  let last = first;
  let asked = 1;
  // One of the five comes back every 12 s: a machine that takes as long gets more than five.
  for (; asked < 50 && last.status === 200; asked += 1) last = await ask({ authorization });
  play.check('its plan allows five requests a minute; the next gets 429', asked > 5 && last.status === 429 && last.text.includes('rate-limited'), last);

  const key = (await play.remora(['consumer', 'key', 'create', 'partner'], 0, { secret: true })).trim();
  const partner = await play.until('the key is at the gateway', () => ask({ 'x-api-key': key }), ({ status }) => status !== 401);
  play.check('the partner is served by its key, which the app does not see', partner.status === 200 && !partner.text.includes(key), partner);
  await play.remora(['can', 'GET', `http://127.0.0.1:${port}/api/orders/1`, '--consumer', 'partner']);
  const cannot = await play.remora(['can', 'POST', `http://127.0.0.1:${port}/api/orders`, '--consumer', 'partner'], 1);
  play.check('what the partner may not, and which policy says so', cannot.includes('authorization') && cannot.includes('orders-api'), cannot);
});
