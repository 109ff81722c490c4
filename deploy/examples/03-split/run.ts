import { example } from '../playground.ts';

const requests = 1_000;

await example('A split 90/10 between two versions, and a header that chooses', async (play) => {
  const ports = { 3001: await play.app('v1'), 3002: await play.app('v2') };
  const port = await play.run(await play.copy(import.meta.dirname, ports));
  await play.until('the split answers', () => play.get(port, '/orders'), ({ status }) => status === 200);
  let second = 0;
  for (let sent = 0; sent < requests; sent += 1) if ((await play.get(port, '/orders')).text.includes('"app":"v2"')) second += 1;
  // 5 standard deviations of a share of 10 %.
  const bound = 5 * Math.sqrt(0.1 * 0.9 * requests);
  play.check(`v2 got ${second} of ${requests} requests: 10 % ± ${((100 * bound) / requests).toFixed(1)} %`, Math.abs(second - requests / 10) <= bound, second);
  const tester = await play.get(port, '/orders', { 'x-tester': 'ana' });
  play.check('a tester gets v2', tester.text.includes('"app":"v2"'), tester.text);
});
