import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TestIssuer } from '@remora/testing/test-issuer';

/** An OpenID issuer on this machine, for tests: it answers as told, also wrongly. */
export interface IssuerServer {
  readonly url: string;
  readonly issuer: TestIssuer;
  /** Paths it was asked for. */
  readonly asked: string[];
  /** Answers instead, where it is not null. */
  answer: ((request: IncomingMessage, response: ServerResponse) => boolean) | null;
  close(): Promise<void>;
}

export async function startIssuer(): Promise<IssuerServer> {
  const asked: string[] = [];
  const state: { answer: IssuerServer['answer'] } = { answer: null };
  let issuer = new TestIssuer();
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    if (state.answer?.(request, response)) return;
    const json = (body: object): void => void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (request.url === '/.well-known/openid-configuration') json({ issuer: issuer.issuer, jwks_uri: `${issuer.issuer}/keys`, token_endpoint: `${issuer.issuer}/token`, device_authorization_endpoint: `${issuer.issuer}/device` });
    else if (request.url === '/keys') json(issuer.jwks());
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  issuer = new TestIssuer(url);
  issuer.key();
  return {
    url, issuer, asked,
    get answer() { return state.answer; },
    set answer(next) { state.answer = next; },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => { server.close(resolve); });
    },
  };
}
