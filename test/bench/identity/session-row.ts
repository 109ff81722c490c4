import { ObligingIssuer } from '../../processes/obliging-issuer.ts';
import { wrk } from '../../processes/load.ts';
import { startBackend } from '../../processes/peers.ts';
import { ScriptedBrowser } from '../../processes/scripted-browser.ts';
import type { BenchRow } from '../bench-document.ts';
import { startGateway } from '../proxy/gateway.ts';
import { runScenario, type RunOptions } from '../proxy/run-scenario.ts';
import type { Scenario } from '../proxy/scenario.ts';

const target = '/api/users/123';

/** What `oidcLogin` costs for a request with a session, on top of the same requests through a gateway without it: the cookie is read and forwarded there. */
export async function sessionRow(options: RunOptions): Promise<BenchRow> {
  const issuer = await ObligingIssuer.start();
  let cookie = '';
  const scenario: Scenario = {
    name: 'sessions', what: 'a gateway with default policies', compares: 'cpu', bars: [],
    async start(stage) {
      const backend = await startBackend(stage.folder, stage.loadCore);
      stage.own(backend.process);
      const bare = await startGateway(stage, { backend: backend.port });
      const documents = `---\n{kind: Policy, name: login, target: {gateway: edge}, oidcLogin: {issuer: "${issuer.issuer.issuer}", allowPrivateAddresses: true, clientId: shop, clientSecret: {secret: client}, sessionKey: {secret: sessions}, callbackPath: /api/callback}}\n`;
      const login = await startGateway(stage, {
        backend: backend.port, documents, name: 'oidcLogin', prepare: setSecrets,
        probe: async (port) => {
          const browser = new ScriptedBrowser(port);
          const page = await browser.open(`https://127.0.0.1:${port}${target}`).catch(() => null);
          cookie = `__Host-remora=${browser.cookie('__Host-remora') ?? ''}`;
          return page?.status === 200 && cookie.length > 100;
        },
      });
      return [bare, login];
    },
    load: ({ port }, seconds, core) => wrk({ url: `http://127.0.0.1:${port}${target}`, connections: 64, seconds, core, headers: [`Cookie: ${cookie}`] }),
  };
  try {
    const [cpu] = await runScenario(scenario, options);
    const [own, base] = [Number(cpu?.peers?.['oidcLogin']), Number(cpu?.value)];
    const value = Math.round((own - base) * 100) / 100;
    return { what: 'oidcLogin, a session that was seen before: CPU per request on top', value, unit: 'µs', bar: '', ok: null, note: `of ${own}, ${base} for the same requests without; a cookie of ${cookie.length} characters` };
  } finally {
    await issuer.stop();
  }
}

async function setSecrets(api: string): Promise<void> {
  for (const [name, value] of [['client', 'password of a client'], ['sessions', 'a key of sessions that is long enough']] as const) {
    const answer = await fetch(`${api}/v1/secrets/${name}`, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ value }) });
    if (!answer.ok) throw new Error(`the Secret ${name} cannot be set: ${answer.status} ${await answer.text()}`);
  }
}
