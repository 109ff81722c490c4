import http from 'node:http';
import https from 'node:https';
import { until } from '../../processes/until.ts';

/** Resolves when the gateway has somebody behind it, who answers anything but its own 503: a sidecar announces its app within a second of its start. */
export async function untilReachable(gatewayPort: number, secured: boolean): Promise<void> {
  await until('the upstream is reached', () => ask(gatewayPort, secured), (status) => status !== 0 && status !== 503, 8000);
}

function ask(port: number, secured: boolean): Promise<number> {
  const options = { host: '127.0.0.1', port, path: '/', agent: false as const, timeout: 2000 };
  return new Promise((resolve) => {
    const request = secured ? https.get({ ...options, rejectUnauthorized: false }) : http.get(options);
    request.once('response', (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(0));
  });
}
