import path from 'node:path';
import { startBackend, startEnvoy, startNginx } from '../../processes/peers.ts';
import { h2load, wrk } from '../../processes/load.ts';
import { nothingOn, startGateway } from './gateway.ts';
import { own, present } from './installed.ts';
import type { Load, Scenario } from './scenario.ts';

/**
 * Little batching: what a sidecar costs at the load that most have. All are warmed up by some 10^5 requests, as after two minutes at this rate: compiling is
 * a cost of the start, and at 1,000 requests/s the rounds would be over before it is done.
 */
const steady: Scenario = {
  name: 'steady', what: 'HTTP/1.1 at a steady 1,000 requests/s', compares: 'cpu',
  bars: [{ peer: 'envoy', max: 0.55 }], p50Below: 'envoy',
  async start(stage) {
    const backend = await startBackend(stage.folder, stage.loadCore);
    stage.own(backend.process);
    folder = stage.folder;
    return present([
      startGateway(stage, { backend: backend.port, documents: nothingOn }),
      startNginx(stage.folder, stage.proxyCore, backend.port).then(own(stage, 'nginx')),
      startEnvoy(stage.folder, stage.proxyCore, backend.port).then(own(stage, 'envoy')),
    ]);
  },
  warmUp: ({ port }, core): Promise<Load> => wrk({ url: `http://127.0.0.1:${port}${target}`, connections: 10, seconds: 4, core }),
  load({ name, port }, seconds, core): Promise<Load> {
    return h2load({
      url: `http://127.0.0.1:${port}${target}`, http1: true, connections: 10, streams: 1, seconds, ratePerConnection: 100, core, log: path.join(folder, `${name}.log`),
    });
  },
};
const target = '/api/users/123';
let folder = '';

export const steadyScenarios: readonly Scenario[] = [steady];
