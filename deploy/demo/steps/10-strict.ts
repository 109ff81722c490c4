import { askShop } from '../gateway-client.ts';
import { startTraffic } from '../traffic.ts';
import { until } from '../until.ts';
import type { Step, World } from '../world.ts';

export const strict: Step = {
  title: 'from permissive to strict mTLS while requests run: who would be refused is named first, and nobody else is',
  timeoutMs: 120_000,
  async run(world) {
    world.check('sidecars have met by mTLS all the while: the app hears who called', await heardCaller(world), 'no caller');
    const traffic = startTraffic({ port: world.fleet.gatewayPort, path: '/', connections: 2 });
    try {
      await callInPlaintext(world);
      await until({
        label: 'the plaintext call in the figures',
        look: async () => (await world.remora(['mtls', 'status', 'payments', '--since', '24h'], { quiet: true })).out,
        holds: (text) => text.includes('orders') && text.includes('127.0.0.1'),
        timeoutMs: 15_000,
      });
      await world.remora(['mtls', 'status', 'payments', '--since', '24h']);
      const guarded = await world.remora(['apply', '-f', 'documents/strict.yaml', '--wait'], { exitCode: 1 });
      world.check('the guard names whom strict would refuse', (guarded.out + guarded.err).includes('127.0.0.1'), guarded.out + guarded.err);
      await world.remora(['apply', '-f', 'documents/strict.yaml', '--wait', '--force', 'mtls', '-m', 'nobody is anonymous'], { author: 'ana' });
      await traffic.more(200, 30_000);
    } finally {
      await traffic.stop();
    }
    const refused = await callInPlaintext(world);
    world.check('a caller without certificate: 403, reason mtls-required', refused.status === 403 && refused.text.includes('mtls-required'), refused);
    world.check(`none of ${traffic.sent} requests through the mesh failed`, traffic.failures.length === 0, traffic.failures.slice(0, 3));
  },
};

/** As a job beside the mesh would, straight to the inbound side. */
function callInPlaintext(world: World): ReturnType<typeof askShop> {
  return askShop({ port: world.fleet.member('payments-1').ports.inbound, path: '/payments', headers: { host: 'payments' } });
}

async function heardCaller(world: World): Promise<boolean> {
  const answer = await askShop({ port: world.fleet.gatewayPort, path: '/cart/10' });
  return answer.text.includes('"caller":"spiffe://shop.example/service/orders"');
}
