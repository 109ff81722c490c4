import { startBackend, startEnvoy, startFastify, startHaproxy, startNginx } from '../../processes/peers.ts';
import { wrk } from '../../processes/load.ts';
import { nothingOn, startGateway } from './gateway.ts';
import { own, present } from './installed.ts';
import type { Load, Scenario, Stage } from './scenario.ts';

const path = '/api/users/123';

function keepAlive(headers: readonly string[] = []): Scenario['load'] {
  return ({ port }, seconds, core): Promise<Load> => wrk({ url: `http://127.0.0.1:${port}${path}`, connections: 64, seconds, core, headers });
}

async function backendOf(stage: Stage): Promise<number> {
  const { port, process } = await startBackend(stage.folder, stage.loadCore);
  stage.own(process);
  return port;
}

const defaults: Scenario = {
  name: 'default', what: 'HTTP/1.1 keep-alive, small JSON, default policies', compares: 'cpu',
  bars: [{ peer: 'nginx', max: 1.7 }, { peer: 'envoy', max: 0.5 }],
  async start(stage) {
    const backend = await backendOf(stage);
    return present([
      startGateway(stage, { backend }),
      startNginx(stage.folder, stage.proxyCore, backend).then(own(stage, 'nginx')),
      startEnvoy(stage.folder, stage.proxyCore, backend).then(own(stage, 'envoy')),
    ]);
  },
  load: keepAlive(),
};

const bare: Scenario = {
  name: 'bare', what: 'HTTP/1.1 keep-alive, small JSON, no policies', compares: 'cpu',
  bars: [{ peer: 'nginx', max: 1.3, stretch: 1.1 }, { peer: 'envoy', max: 0.35 }],
  async start(stage) {
    const backend = await backendOf(stage);
    return present([
      startGateway(stage, { backend, documents: nothingOn }),
      startNginx(stage.folder, stage.proxyCore, backend).then(own(stage, 'nginx')),
      startHaproxy(stage.folder, stage.proxyCore, backend).then(own(stage, 'haproxy')),
      startEnvoy(stage.folder, stage.proxyCore, backend).then(own(stage, 'envoy')),
      startFastify(stage.proxyCore, backend).then(own(stage, 'fastify')),
    ]);
  },
  load: keepAlive(),
};

/** Five routes, JSON access log to a file, metrics, rate limit, retries, timeouts, tracing headers: what Envoy does in envoy-sidecar.json. */
const policies = `---
kind: Policy
name: everything
target: {gateways: all}
rateLimit: {limits: {all: {requests: 10000000, per: 1s}}}
retry: {retries: 2, retryOn: [connect-failure, refused-stream, 503]}
timeout: {request: 15s}
accessLog: {format: json, output: file, file: {name: access.log}}
---
${[0, 1, 2, 3].map((i) => `kind: Route
name: svc${i}
gateway: edge
match: {path: {prefix: /svc${i}/}}
to: [{service: users}]
`).join('---\n')}`;

const sidecar: Scenario = {
  name: 'policies', what: 'HTTP/1.1, 5 routes, JSON access log, metrics, rate limit, retry, timeouts, tracing headers', compares: 'cpu',
  bars: [{ peer: 'envoy', max: 0.4, stretch: 0.33 }],
  async start(stage) {
    const backend = await backendOf(stage);
    return present([
      startGateway(stage, { backend, documents: policies }),
      startEnvoy(stage.folder, stage.proxyCore, backend, 'envoy-sidecar.json').then(own(stage, 'envoy')),
    ]);
  },
  load: keepAlive(),
};

const browserHeaders = [
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'Accept-Language: en-GB,en;q=0.9,de;q=0.8', 'Accept-Encoding: gzip, deflate, br, zstd', 'Cache-Control: max-age=0',
  'Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=all', 'Referer: https://shop.example.com/products?page=2',
  'Sec-Fetch-Dest: document', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Site: same-origin', 'Upgrade-Insecure-Requests: 1', 'DNT: 1',
];

const headers: Scenario = {
  name: 'headers', what: 'HTTP/1.1, 12 browser-like headers, no policies', compares: 'cpu',
  bars: [{ peer: 'nginx', max: 1.4, stretch: 1.2 }],
  async start(stage) {
    const backend = await backendOf(stage);
    return present([
      startGateway(stage, { backend, documents: nothingOn }),
      startNginx(stage.folder, stage.proxyCore, backend).then(own(stage, 'nginx')),
      startEnvoy(stage.folder, stage.proxyCore, backend).then(own(stage, 'envoy')),
    ]);
  },
  load: keepAlive(browserHeaders),
};

/** Two data threads and one, both on both cores: what sharing costs. */
const workers: Scenario = {
  name: 'workers', what: 'HTTP/1.1 keep-alive, small JSON, two workers', compares: 'cpu',
  bars: [{ peer: 'one worker', max: 1.1 }],
  async start(stage) {
    const backend = await backendOf(stage);
    const cores = `${stage.loadCore},${stage.proxyCore}`;
    return [
      await startGateway(stage, { backend, flags: ['--workers', '2'], cores }),
      await startGateway(stage, { backend, cores, name: 'one worker' }),
    ];
  },
  load: keepAlive(),
};

/** HTTP/1.1 in clear. */
export const http1Scenarios: readonly Scenario[] = [defaults, bare, sidecar, headers, workers];
