import { generateKeyPairSync, sign } from 'node:crypto';
import type { RequestListener, ServerResponse } from 'node:http';

const keyId = 'demo-1';
const lifeSeconds = 300;

/**
 * An issuer of tokens as small as one can be, in the place of Keycloak and its like, for the demo and the examples: `GET /token?client=NAME` gives anybody
 * a token of five minutes for the audience `shop`; its keys are where OpenID Connect discovery says. `address` is asked at each request: `http://127.0.0.1:PORT`.
 */
export function tokenIssuer(address: () => string): RequestListener {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const token = (client: string): string => {
    const now = Math.floor(Date.now() / 1_000);
    const claims = { iss: address(), sub: client, azp: client, aud: ['shop'], iat: now, exp: now + lifeSeconds, scope: 'read' };
    const text = [{ alg: 'ES256', typ: 'JWT', kid: keyId }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    return `${text}.${sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  };
  return (incoming, answer) => {
    const url = new URL(incoming.url ?? '/', address());
    switch (url.pathname) {
      case '/.well-known/openid-configuration':
        return json(answer, { issuer: address(), jwks_uri: `${address()}/keys`, token_endpoint: `${address()}/token`, id_token_signing_alg_values_supported: ['ES256'] });
      case '/keys':
        return json(answer, { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: keyId, alg: 'ES256', use: 'sig' }] });
      case '/token':
        return json(answer, { access_token: token(url.searchParams.get('client') ?? 'nobody'), token_type: 'Bearer', expires_in: lifeSeconds });
      default:
        answer.writeHead(404).end();
    }
  };
}

function json(answer: ServerResponse, body: object): void {
  answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
