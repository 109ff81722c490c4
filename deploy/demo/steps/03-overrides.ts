import type { Step } from '../world.ts';

export const overrides: Step = {
  title: 'a service overrides a field, a policy `from` one caller another; explain says who won and why',
  timeoutMs: 60_000,
  async run(world) {
    await world.remora(['apply', '-f', 'documents/overrides.yaml', '--wait', '-m', 'edge takes more, orders wait longer'], { author: 'ben' });
    const limit = await world.remora(['explain', '--gateway', 'edge', '--field', '/rateLimit/limits/perClient']);
    world.check('at the gateway requests come from edge-takes-more, the rest from everyone-is-limited', /1000000/.test(limit.out) && limit.out.includes('edge-takes-more') && limit.out.includes('everyone-is-limited'), limit.out);
    const inside = await world.remora(['explain', '--service', 'web', '--field', '/rateLimit']);
    world.check('behind the gateway the limit is gone', !inside.out.includes('/rateLimit/limits/perClient/requests'), inside.out);
    const timeout = await world.remora(['explain', '--service', 'payments', '--caller', 'orders', '--field', '/timeout/request']);
    const names = ['orders-are-patient', 'payments-are-quick', 'baseline'].map((name) => timeout.out.indexOf(name));
    world.check('10s of orders-are-patient wins over 2s of payments-are-quick and 5s of baseline', timeout.out.includes('10s') && timeout.out.includes('2s') && timeout.out.includes('5s') && names.every((at, i) => at >= 0 && at >= (names[i - 1] ?? 0)), timeout.out);
    const page = await world.shop('/cart/3');
    world.check('the shop answers again', page.status === 200, page);
  },
};
