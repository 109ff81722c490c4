import { innermost } from '../shop-answer.ts';
import type { Step } from '../world.ts';

export const why: Step = {
  title: 'remora why <request id> names hop, policy, field, revision and author of a refusal',
  timeoutMs: 60_000,
  async run(world) {
    const applied = await world.remora(['apply', '-f', 'documents/orders-quota.yaml', '--wait', '-m', 'orders are precious'], { author: 'dora' });
    const revision = Number(/revision (\d+)/.exec(applied.out)?.[1]);
    // Two instances count each for itself: the third look at one page is too often for one of them at the latest.
    let page = await world.shop('/cart/9');
    for (let looks = 1; looks < 3 && page.status === 200; looks += 1) page = await world.shop('/cart/9');
    const refusal = innermost(page.text) as { readonly requestId?: string } | null;
    const id = refusal?.requestId ?? '';
    world.check('the refusal carries its request id', page.status === 429 && id !== '', page);
    const answer = await world.remora(['why', id], { process: true });
    const parts = ['orders-', 'inbound', 'rate-limited', 'orders-are-rare', '/limits/perPage', `${revision} by token:dora`];
    world.check('it names hop, reason, policy, field, revision and author', parts.every((part) => answer.out.includes(part)), answer.out);
    await world.remora(['delete', 'policy/orders-are-rare', '--wait']);
  },
};
