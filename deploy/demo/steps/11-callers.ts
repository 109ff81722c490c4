import { innermost } from '../shop-answer.ts';
import type { Step } from '../world.ts';

export const callers: Step = {
  title: 'who may do what: a rule refuses, why and can name it',
  timeoutMs: 60_000,
  async run(world) {
    await world.remora(['apply', '-f', 'documents/callers.yaml', '--wait', '-m', 'only the front asks for orders'], { author: 'eva' });
    world.check('the shop goes on', (await world.shop('/cart/11')).status === 200, 'another status');
    const page = await world.shop('/internal/11');
    const refusal = innermost(page.text) as { readonly requestId?: string; readonly reason?: string } | null;
    world.check('what no caller may see is refused: 403, reason authorization-denied', page.status === 403 && refusal?.reason === 'authorization-denied', page);
    const why = await world.remora(['why', refusal?.requestId ?? '']);
    world.check('why names the rule and its policy', why.out.includes('orders-callers') && why.out.includes('/authorization/rules/internal'), why.out);
    const may = await world.remora(['can', 'web', 'GET', 'orders/orders/cart/11']);
    world.check('can: web may, by the rule storefront', may.out.includes('storefront'), may.out);
    const mayNot = await world.remora(['can', 'payments', 'GET', 'orders/orders/cart/11'], { exitCode: 1 });
    world.check('can: payments may not', mayNot.out.includes('authorization'), mayNot.out);
  },
};
