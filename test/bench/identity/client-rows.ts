import { generateKeyPairSync, sign } from 'node:crypto';
import { wrk } from '../../processes/load.ts';
import { startBackend } from '../../processes/peers.ts';
import type { BenchRow } from '../bench-document.ts';
import { startGateway } from '../proxy/gateway.ts';
import { runScenario, type RunOptions } from '../proxy/run-scenario.ts';
import type { Contestant, Scenario, Stage } from '../proxy/scenario.ts';

/** What a kind costs on top of the same gateway without it, by CPU per request of whole gateways in one run. */
interface Kind {
  readonly name: string;
  readonly what: string;
  readonly maxUs: number;
  start(stage: Stage, backend: number): Promise<Contestant>;
}

const target = '/api/users/123';
/** Of the name of a contestant: what is sent is the same, the kind is not there. */
const without = ' without';
/** What the load sends to each gateway. */
const headers = new Map<string, readonly string[]>();

/** A token of an hour with the key that verifies it. */
function token(): { readonly text: string; readonly jwks: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const now = Math.floor(Date.now() / 1_000);
  const parts = [{ alg: 'ES256', kid: 'bench' }, { iss: 'https://issuer.example', aud: 'users', sub: 'bench', iat: now, exp: now + 3_600, scope: 'read write', realm_access: { roles: ['a', 'b'] } }];
  const body = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const signature = sign('sha256', Buffer.from(body), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url');
  return { text: `${body}.${signature}`, jwks: JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'bench', alg: 'ES256' }] }) };
}

const kinds: readonly Kind[] = [
  {
    name: 'jwt', what: 'jwt, a token of ES256 that was seen before, two headers from claims', maxUs: 2,
    start(stage, backend) {
      const { text, jwks } = token();
      headers.set('jwt', [`Authorization: Bearer ${text}`]);
      const documents = `---\n{kind: Policy, name: jwt, target: {gateway: edge}, jwt: {issuers: {bench: {issuer: "https://issuer.example", audiences: [users], jwks: ${jwks}}}, claimsToHeaders: {x-user-id: sub, x-roles: realm_access.roles}}}\n`;
      return startGateway(stage, { backend, documents, name: 'jwt', probe: (port) => answers(port, { authorization: `Bearer ${text}` }) });
    },
  },
  {
    name: 'apiKey', what: 'apiKey', maxUs: 2,
    async start(stage, backend) {
      let key = '';
      const documents = '---\n{kind: Consumer, name: bench}\n---\n{kind: Policy, name: keys, target: {gateway: edge}, apiKey: {keyFrom: [{header: x-api-key}]}}\n';
      const prepare = async (api: string): Promise<void> => {
        const answer = await fetch(`${api}/v1/consumers/bench/credentials/apiKey`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' });
        key = (await answer.json() as { readonly secret: string }).secret;
      };
      const gateway = await startGateway(stage, { backend, documents, name: 'apiKey', prepare, probe: (port) => answers(port, { 'x-api-key': key }) });
      headers.set('apiKey', [`X-Api-Key: ${key}`]);
      return gateway;
    },
  },
  {
    name: 'authorization', what: 'authorization with 100 rules', maxUs: 3,
    start(stage, backend) {
      const rules = Array.from({ length: 99 }, (_, i) => `r${i}: {action: allow, methods: [GET], paths: [/other/${i}/*], addresses: [10.0.${i}.0/24]}`);
      const documents = `---\n{kind: Policy, name: rules, target: {gateway: edge}, authorization: {rules: {${rules.join(', ')}, users: {action: allow, methods: [GET], paths: [/api/*]}}}}\n`;
      return startGateway(stage, { backend, documents, name: 'authorization' });
    },
  },
];

async function answers(port: number, sent: Readonly<Record<string, string>>): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}${target}`, { headers: sent }).then((response) => response.ok, () => false);
}

const scenario: Scenario = {
  name: 'clients', what: 'a gateway with default policies', compares: 'cpu', bars: [],
  async start(stage) {
    const backend = await startBackend(stage.folder, stage.loadCore);
    stage.own(backend.process);
    const bare = await startGateway(stage, { backend: backend.port });
    const gateways = [];
    for (const kind of kinds) gateways.push(await kind.start(stage, backend.port));
    // The same requests through the gateway without the kind: a token is half a kilobyte that is read and forwarded in any case.
    return [bare, ...gateways, ...kinds.map(({ name }) => ({ ...bare, name: `${name}${without}` }))];
  },
  load: ({ name, port }, seconds, core) => wrk({ url: `http://127.0.0.1:${port}${target}`, connections: 64, seconds, core, headers: headers.get(name.replace(without, '')) ?? [] }),
};

/** One row for each kind. */
export async function clientRows(options: RunOptions): Promise<BenchRow[]> {
  const [cpu] = await runScenario(scenario, options);
  if (cpu === undefined) throw new Error('no figures');
  return kinds.map(({ name, what, maxUs }) => {
    const [own, base] = [Number(cpu.peers?.[name]), Number(cpu.peers?.[`${name}${without}`])];
    const value = Math.round((own - base) * 100) / 100;
    return { what: `${what}: CPU per request on top`, value, unit: 'µs', bar: `≤ ${maxUs} µs`, ok: value <= maxUs, note: `of ${own}, ${base} for the same requests without` };
  });
}
