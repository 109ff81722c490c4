import http from 'node:http';
import net from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GatewayRig } from '../testdata/gateway-rig.ts';

interface Reply {
  readonly status: number;
  readonly connection: string | undefined;
  readonly retryAfter: string | undefined;
  readonly body: string;
}

let memory = 0;
let rig: GatewayRig;
let app: http.Server;
let agent: http.Agent;
const held: http.ServerResponse[] = [];

beforeEach(async () => {
  memory = 0;
  app = http.createServer((request, response) => {
    if (request.url === '/slow') held.push(response);
    else response.end('served');
  });
  await new Promise<void>((resolve) => { app.listen(0, '127.0.0.1', resolve); });
  rig = await GatewayRig.start({ upstreams: [(app.address() as net.AddressInfo).port], memoryShare: () => memory });
  agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
});

afterEach(async () => {
  agent.destroy();
  await rig.close();
  app.closeAllConnections();
  app.close();
});

function get(path: string, through: http.Agent | false = false): Promise<Reply> {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port: rig.port, path, agent: through, headers: through === false ? {} : { connection: 'keep-alive' } }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => { body += text; });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, connection: response.headers.connection, retryAfter: response.headers['retry-after'], body }));
    }).on('error', reject);
  });
}

async function untilStage(stage: number): Promise<void> {
  await vi.waitFor(() => expect(rig.plane.overloadStage()).toBe(stage), { timeout: 30_000, interval: 20 });
}

describe('an overloaded data thread', () => {
  it('ends keep-alive first, then refuses requests, then closes connections, and comes back', { timeout: 30_000 }, async () => {
    // A request that is under way through all of it.
    const slow = get('/slow', new http.Agent());
    await vi.waitFor(() => expect(held).toHaveLength(1));

    memory = 0.91;
    await untilStage(1);
    expect(await get('/a', agent)).toMatchObject({ status: 200, connection: 'close', body: 'served' });

    memory = 0.95;
    await untilStage(2);
    const refused = await get('/b');
    expect(refused).toMatchObject({ status: 503, connection: 'close', retryAfter: '1' });
    expect(JSON.parse(refused.body)).toMatchObject({ reason: 'overload' });

    memory = 0.99;
    await untilStage(3);
    await expect(get('/c')).rejects.toMatchObject({ code: expect.stringMatching(/ECONNRESET|EPIPE/) as string });

    held[0]?.end('served in the end');
    expect(await slow).toMatchObject({ status: 200, body: 'served in the end' });

    memory = 0.2;
    await untilStage(0);
    expect(await get('/d')).toMatchObject({ status: 200, body: 'served' });
    expect(rig.refusals.map(({ reason }) => reason)).toEqual(['overload']);
    expect(Object.fromEntries(rig.plane.readPolicyEvents())).toMatchObject({ 'overload_requests-refused': 1, 'overload_connections-closed': 1 });
  });
});
