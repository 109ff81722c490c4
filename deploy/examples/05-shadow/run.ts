import path from 'node:path';
import { example } from '../playground.ts';

await example('A limit in shadow first, enforced when its verdicts look right', async (play) => {
  const app = await play.app('orders');
  const folder = await play.copy(import.meta.dirname, { 3001: app });
  const port = await play.run(folder, ['--no-watch']);
  const first = await play.until('orders answer', () => play.get(port, '/orders'), ({ status }) => status === 200);
  const id = String(first.headers['x-request-id'] ?? '');
  for (let sent = 0; sent < 5; sent += 1) play.check('nobody is refused', (await play.get(port, '/orders')).status === 200, id);
  await play.replace(path.join(folder, 'mesh.yaml'), 'enforcement: shadow', 'enforcement: enforce');
  await play.remora(['diff', '-f', folder]);
  await play.remora(['apply', '-f', folder, '--wait']);
  const counted = [];
  for (let sent = 0; sent < 3; sent += 1) counted.push((await play.get(port, '/orders')).status);
  play.check('now the third is refused', counted.join(' ') === '200 200 429', counted);
});
