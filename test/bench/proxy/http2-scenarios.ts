import http2 from 'node:http2';
import path from 'node:path';
import { startBackend, startEnvoy, startNginx } from '../../processes/peers.ts';
import { h2load } from '../../processes/load.ts';
import { nothingOn, startGateway } from './gateway.ts';
import { own, present } from './installed.ts';
import type { Load, Scenario } from './scenario.ts';

/** Cleartext HTTP/2 on both sides, by prior knowledge. */
function cleartext(connections: number, streams: number): Scenario {
  let folder = '';
  return {
    name: `http2-c${connections}-m${streams}`, what: `HTTP/2 cleartext both sides, -c${connections} -m${streams}`, compares: 'cpu',
    bars: [{ peer: 'nginx', max: 0.85 }, { peer: 'envoy', max: 0.45, stretch: 0.3 }],
    async start(stage) {
      folder = stage.folder;
      const backend = await startBackend(stage.folder, stage.loadCore, 'nginx-http2-backend.conf');
      stage.own(backend.process);
      return present([
        startGateway(stage, { backend: backend.port, protocol: 'http2', documents: nothingOn, probe: probeHttp2 }),
        startNginx(stage.folder, stage.proxyCore, backend.port, 'nginx-grpc-proxy.conf').then(own(stage, 'nginx')),
        startEnvoy(stage.folder, stage.proxyCore, backend.port, 'envoy-http2.json').then(own(stage, 'envoy')),
      ]);
    },
    load({ name, port }, seconds, core): Promise<Load> {
      return h2load({ url: `http://127.0.0.1:${port}/api/users`, connections, streams, seconds, core, headers: ['content-type: application/grpc', 'te: trailers'], log: path.join(folder, `${name}.log`) });
    },
  };
}

function probeHttp2(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const session = http2.connect(`http://127.0.0.1:${port}`);
    const done = (ok: boolean): void => {
      session.destroy();
      resolve(ok);
    };
    session.on('error', () => done(false));
    const stream = session.request({ ':path': '/api/users' });
    stream.on('response', (headers) => done(headers[':status'] === 200));
    stream.on('error', () => done(false));
    stream.end();
  });
}

export const http2Scenarios: readonly Scenario[] = [cleartext(16, 8), cleartext(64, 1)];
