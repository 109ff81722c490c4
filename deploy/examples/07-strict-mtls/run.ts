import path from 'node:path';
import { example } from '../playground.ts';

await example('Strict mTLS without an outage: instance by instance, who would be refused, and then only orders may pay', async (play) => {
  const folder = import.meta.dirname;
  const app = await play.app('payments');
  await play.controlPlane();
  await play.remora(['apply', '-f', path.join(folder, 'mesh.yaml')]);
  const payments = await play.sidecar({ subject: ['--service', 'payments'], name: 'payments-1', args: ['--app', `127.0.0.1:${app}`, '--inbound', '0', '--outbound', '0'] });
  const orders = await play.sidecar({ subject: ['--service', 'orders'], name: 'orders-1', args: ['--outbound', '0'] });
  const fromOrders = (): ReturnType<typeof play.get> => play.get(orders.get('outbound') ?? 0, '/pay', { host: 'payments' });
  // A job without a sidecar, which calls the inbound side as it always did.
  const fromJob = (): ReturnType<typeof play.get> => play.get(payments.get('inbound') ?? 0, '/pay', { host: 'payments' });

  const met = await play.until('orders reach payments by mTLS', fromOrders, ({ status, text }) => status === 200 && text.includes('x-forwarded-client-cert'));
  play.check('the app is told who called', met.text.includes('spiffe://shop.example/service/orders'), met.text);
  const job = await play.get(payments.get('inbound') ?? 0, '/pay', { host: 'payments', 'x-forwarded-client-cert': 'URI=spiffe://shop.example/service/orders' });
  play.check('a caller without certificate is served too, and cannot say that it is orders', job.status === 200 && !job.text.includes('spiffe:'), job);

  await play.until('the figures have come', () => play.remora(['mtls', 'status', 'payments', '--since', '24h']), (text) => text.includes('orders') && text.includes('127.0.0.1'));
  const refused = await play.remora(['apply', '-f', path.join(folder, 'strict.yaml')], 1);
  play.check('the way to strict names whom it would refuse', refused.includes('mtls') && refused.includes('127.0.0.1'), refused);
  await play.remora(['apply', '-f', path.join(folder, 'strict.yaml'), '--wait', '--force', 'mtls', '-m', 'the job has moved elsewhere']);

  const after = await fromJob();
  play.check('without a certificate: 403, with its reason', after.status === 403 && after.text.includes('mtls-required'), after);
  play.check('orders pay as before', (await fromOrders()).status === 200, 'another status');
  const can = await play.remora(['can', 'orders', 'GET', 'payments/pay']);
  play.check('remora can says so, and by which rule', can.includes('allowed') && can.includes('orders-pay'), can);
  const cannot = await play.remora(['can', 'orders', 'DELETE', 'payments/pay'], 1);
  play.check('and what orders may not', cannot.includes('authorization'), cannot);
});
