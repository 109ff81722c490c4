import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { Agent, request } from 'node:http';

/** Somebody who signs tokens that nobody has seen before. */
export class TokenMint {
  readonly #key: KeyObject;
  /** What verifies them. */
  readonly jwks: string;
  #made = 0;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#key = privateKey;
    this.jwks = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'bench', alg: 'ES256' }] });
  }

  /** Holds for an hour. */
  next(): string {
    const now = Math.floor(Date.now() / 1_000);
    const claims = { iss: 'https://issuer.example', aud: 'users', sub: `user-${++this.#made}`, iat: now, exp: now + 3_600, scope: 'read write', realm_access: { roles: ['a', 'b'] } };
    const body = [{ alg: 'ES256', kid: 'bench' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    return `${body}.${sign('sha256', Buffer.from(body), { key: this.#key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  }
}

/** Requests at a steady rate, each with a token of its own, until it is stopped; answers how many were answered with 200. */
export function sendTokens({ port, path, tokens, perSecond }: { readonly port: number; readonly path: string; readonly tokens: readonly string[]; readonly perSecond: number }): { stop(): Promise<number> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  const startedAt = performance.now();
  const answers: Promise<boolean>[] = [];
  const timer = setInterval(() => {
    const due = Math.min(tokens.length, Math.floor(((performance.now() - startedAt) / 1_000) * perSecond));
    while (answers.length < due) answers.push(ask({ agent, port, path, token: tokens[answers.length] ?? '' }));
  }, 4);
  return {
    async stop() {
      clearInterval(timer);
      const good = (await Promise.all(answers)).filter(Boolean).length;
      agent.destroy();
      if (good < answers.length) throw new Error(`${answers.length - good} of ${answers.length} tokens were refused`);
      return good;
    },
  };
}

function ask({ agent, port, path, token }: { readonly agent: Agent; readonly port: number; readonly path: string; readonly token: string }): Promise<boolean> {
  return new Promise((resolve) => {
    request({ agent, host: '127.0.0.1', port, path, headers: { authorization: `Bearer ${token}` } }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode === 200)).on('error', () => resolve(false));
    }).on('error', () => resolve(false)).end();
  });
}
