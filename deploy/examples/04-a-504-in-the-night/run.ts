import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { example } from '../playground.ts';

/** A policy that nobody would write by day: no attempt may wait longer than a millisecond for the answer. */
const hasty = '{kind: Policy, name: hasty, target: {service: orders}, timeout: {request: 1ms, perTry: 0s}}\n';

await example('A 504 in the night: what refused it, whose edit that was, and back', async (play) => {
  const app = await play.app('orders', (_incoming, answer) => void setTimeout(() => answer.end('slow but right'), 50));
  const folder = await play.copy(import.meta.dirname, { 3001: app });
  const port = await play.run(folder, ['--no-watch']);
  await play.until('orders answer', () => play.get(port, '/api/orders'), ({ status }) => status === 200);
  await writeFile(path.join(folder, 'hasty.yaml'), hasty);
  await play.remora(['apply', '-f', path.join(folder, 'hasty.yaml'), '--wait', '--author', 'ana', '-m', 'quicker!']);
  const failed = await play.get(port, '/api/orders');
  play.check('504, and the answer says that Remora gave it and why', failed.status === 504 && failed.text.includes('upstream-timeout'), failed);
  const id = String((JSON.parse(failed.text) as { readonly requestId?: string }).requestId);
  const why = await play.remora(['why', id]);
  play.check('why names the hop and the reason', why.includes('gateway/edge') && why.includes('upstream-timeout'), why);
  const explained = await play.remora(['explain', '--service', 'orders', '--caller', 'gateway/edge', '--field', '/timeout/request']);
  play.check('explain names the policy that set the limit', explained.includes('hasty') && explained.includes('1ms'), explained);
  const history = await play.remora(['history', '--since', '30m']);
  const revision = /^\s*(\d+)\s.*\bana\b/m.exec(history)?.[1] ?? '';
  await play.remora(['diff', revision]);
  await play.remora(['revert', revision, '--wait']);
  const after = await play.get(port, '/api/orders');
  play.check('orders answer again', after.status === 200, after);
});
