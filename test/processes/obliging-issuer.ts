import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { TestIssuer } from '@remora/testing/test-issuer';

/** An OpenID provider that lets everybody in as `anna`, unless told to stop at its login page. A code is good as often as it comes: that a login is ended once is up to the gateway. */
export class ObligingIssuer {
  readonly issuer: TestIssuer;
  readonly #server: Server;
  readonly #nonces = new Map<string, string>();
  refreshed = 0;
  exchanged = 0;
  /** Shows its login page instead of letting everybody in. */
  stops = false;
  readonly #firstTokensSeconds: number;

  private constructor(server: Server, issuer: TestIssuer, firstTokensSeconds: number) {
    this.#firstTokensSeconds = firstTokensSeconds;
    this.#server = server;
    this.issuer = issuer;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => (body += text)).on('end', () => this.#serve(new URL(request.url ?? '/', issuer.issuer), new URLSearchParams(body), response));
    });
  }

  /** `firstTokensSeconds`: for how long the tokens of a login hold; refreshed ones hold for five minutes. */
  static async start({ firstTokensSeconds = 300 } = {}): Promise<ObligingIssuer> {
    const server = createServer();
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return new ObligingIssuer(server, new TestIssuer(`http://127.0.0.1:${address.port}`), firstTokensSeconds);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => { this.#server.close(resolve); });
  }

  #serve(url: URL, form: URLSearchParams, response: ServerResponse): void {
    const { issuer } = this.issuer;
    const json = (body: object): void => void response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
    switch (url.pathname) {
      case '/.well-known/openid-configuration': return json({ issuer, jwks_uri: `${issuer}/keys`, authorization_endpoint: `${issuer}/auth`, token_endpoint: `${issuer}/token` });
      case '/keys': return json(this.issuer.jwks(this.issuer.key('ES256', 'a')));
      case '/auth': return this.stops ? void response.end('<form>') : this.#sendBack(url.searchParams, response);
      case '/token': return json(this.#tokens(form));
      default: response.writeHead(404).end();
    }
  }

  #sendBack(asked: URLSearchParams, response: ServerResponse): void {
    const code = randomBytes(8).toString('hex');
    this.#nonces.set(code, asked.get('nonce') ?? '');
    response.writeHead(302, { location: `${asked.get('redirect_uri')}?code=${code}&state=${asked.get('state')}` }).end();
  }

  #tokens(form: URLSearchParams): object {
    const refreshes = form.get('grant_type') === 'refresh_token';
    if (refreshes) this.refreshed++;
    else this.exchanged++;
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: this.issuer.issuer, aud: 'shop', sub: 'anna', iat: now, exp: now + 300, ...(!refreshes && { nonce: this.#nonces.get(form.get('code') ?? '') ?? '' }) };
    return { id_token: this.issuer.token(claims, { key: this.issuer.key('ES256', 'a') }), refresh_token: `refresh-${this.refreshed}`, scope: 'openid', expires_in: refreshes ? 300 : this.#firstTokensSeconds };
  }
}
