import { example } from '../playground.ts';

await example('A public route: rewrite, backup, limits, CORS and security headers', async (play) => {
  const ports = { 3001: await play.app('orders'), 3002: await play.app('orders-backup') };
  const folder = await play.copy(import.meta.dirname, ports);
  await play.remora(['validate', '-f', folder]);
  const port = await play.run(folder);
  const first = await play.until('the route answers', () => play.get(port, '/api/orders/42', { origin: 'https://shop.example' }), ({ status }) => status === 200);
  play.check('the app sees the rewritten path', first.text.includes('"path":"/orders/42"'), first.text);
  play.check('the app answers, not its backup', first.text.includes('"app":"orders"'), first.text);
  play.check('browsers of shop.example may read it', first.headers['access-control-allow-origin'] === 'https://shop.example', first.headers);
  play.check('nobody may frame it, and the app\'s Server header is gone', first.headers['x-frame-options'] === 'DENY' && first.headers.server === undefined, first.headers);
  let last = first;
  let sent = 1;
  // One of the five comes back every 12 s: a machine that takes as long gets more than five.
  for (; sent < 50 && last.status === 200; sent += 1) last = await play.get(port, '/api/orders/42', { origin: 'https://shop.example' });
  play.check('after five requests of a minute the next gets 429 with its reason', sent > 5 && last.status === 429 && last.text.includes('rate-limited'), last);
  play.check('and says when to come again', Number(last.headers['retry-after']) > 0, last.headers);
  play.check('CORS headers are on refusals too', last.headers['access-control-allow-origin'] === 'https://shop.example', last.headers);
  const outside = await play.get(port, '/other');
  play.check('what no route matches is 404, and Remora says so', outside.status === 404 && outside.text.includes('no-route'), outside);
});
