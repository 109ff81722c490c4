import path from 'node:path';
import { example } from '../playground.ts';

const users = 40;

await example('A canary that fails and goes back by itself, and one that completes', async (play) => {
  let status = 500;
  const ports = { 3001: await play.app('v1'), 3002: await play.app('v2', (_incoming, answer) => void answer.writeHead(status).end('"app":"v2"')) };
  const folder = await play.copy(import.meta.dirname, ports);
  const canary = path.join(folder, 'canary.yaml');
  const port = await play.run(path.join(folder, 'mesh.yaml'), ['--no-watch']);
  const ask = (nth: number): ReturnType<typeof play.get> => play.get(port, '/', { 'x-user-id': `user-${nth}` });
  await play.until('orders answer', () => ask(0), ({ status: code }) => code > 0);
  const calls = callAllTheTime(ask);
  await play.remora(['apply', '-f', canary, '--wait']);
  const failed = await play.remora(['canary', 'status', 'orders', '--watch', '-o', 'json'], 9, { secret: true });
  play.check('v2 fails: everything is back at stable, and the figures are named', failed.includes('errors 100 %') && failed.includes('"end": "failed"'), failed.slice(-2_000));
  await play.remora(['canary', 'status', 'orders']);
  await play.until('v1 answers alone', () => Promise.all(Array.from({ length: users }, (_, nth) => ask(nth))), (answers) => answers.every(({ text }) => text.includes('"app":"v1"')));
  status = 200;
  play.say('v2 is repaired, and the document is changed: it runs again');
  await play.replace(canary, 'weight: 20', 'weight: 25');
  await play.remora(['apply', '-f', canary, '--wait']);
  await play.remora(['canary', 'status', 'orders', '--watch', '-o', 'json'], 0, { secret: true });
  await play.remora(['canary', 'status', 'orders']);
  await play.until('v2 answers alone', () => Promise.all(Array.from({ length: users }, (_, nth) => ask(nth))), (answers) => answers.every(({ text }) => text.includes('"app":"v2"')));
  const history = await play.remora(['history']);
  play.check('each run is one line of the history', history.match(/canary\/orders/g)?.length === 2, history);
  await calls.end();
});

/** Gates judge what callers see: without requests a canary holds. */
function callAllTheTime(ask: (nth: number) => Promise<unknown>): { end(): Promise<void> } {
  let running = true;
  const lanes = Array.from({ length: 2 }, async (_, lane) => {
    for (let nth = lane; running; nth += 2) await ask(nth % users);
  });
  return {
    async end() {
      running = false;
      await Promise.all(lanes);
    },
  };
}
