import { spawn, type ChildProcess } from 'node:child_process';
import { freePort } from '@remora/testing/free-port';

/** A Keycloak of a test's own: in memory, on free ports of loopback, with one realm that has clients for machines, for introspection and for browsers. */
export class Keycloak {
  readonly origin: string;
  /** As its tokens name it. */
  readonly issuer: string;
  readonly #child: ChildProcess;
  readonly #password: string;

  /** Starts it, waits until it answers, and makes the realm. `command` is `kc.sh`; starting takes it a quarter of a minute, and several times that on a busy machine. */
  static async start(command: string): Promise<Keycloak> {
    const [port, management] = [await freePort(), await freePort()];
    const password = 'only-for-tests';
    const child = spawn(command, [
      'start', '--optimized', '--http-enabled=true', '--hostname-strict=false', '--http-host=127.0.0.1', `--http-port=${port}`, `--http-management-port=${management}`, '--log-level=warn',
    ], { stdio: 'ignore', detached: true, env: { ...process.env, KC_BOOTSTRAP_ADMIN_USERNAME: 'admin', KC_BOOTSTRAP_ADMIN_PASSWORD: password, JAVA_OPTS_APPEND: '-Xmx512m' } });
    const keycloak = new Keycloak(child, `http://127.0.0.1:${port}`, password);
    process.once('exit', () => keycloak.#kill());
    try {
      await keycloak.#ready();
      await keycloak.#makeRealm();
    } catch (error) {
      await keycloak.stop();
      throw error;
    }
    return keycloak;
  }

  private constructor(child: ChildProcess, origin: string, password: string) {
    this.#child = child;
    this.origin = origin;
    this.issuer = `${origin}/realms/${realm}`;
    this.#password = password;
  }

  get introspection(): string {
    return `${this.issuer}/protocol/openid-connect/token/introspect`;
  }

  /** An access token of the client `batch`, by client credentials. */
  async machineToken(): Promise<string> {
    return this.#token(this.issuer, { grant_type: 'client_credentials', client_id: 'batch', client_secret: clientSecret });
  }

  /** Ends a token before its time (RFC 7009). */
  async revoke(token: string): Promise<void> {
    await this.#post(`${this.issuer}/protocol/openid-connect/revoke`, new URLSearchParams({ token, client_id: 'batch', client_secret: clientSecret }));
  }

  /** A new key, with which tokens are signed from now on. */
  async rotateKey(): Promise<void> {
    await this.#admin('components', { name: 'new-key', providerId: 'rsa-generated', providerType: 'org.keycloak.keys.KeyProvider', config: { priority: ['200'], keySize: ['2048'], algorithm: ['RS256'] } });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#kill();
    await gone;
  }

  /** Its script, and the Java runtime that the script starts. */
  #kill(): void {
    if (this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }

  async #ready(): Promise<void> {
    const end = performance.now() + startPatienceMs;
    for (;;) {
      if (this.#child.exitCode !== null) throw new Error(`Keycloak ended with ${this.#child.exitCode}`);
      const answered = await fetch(`${this.origin}/realms/master`).then((response) => response.ok, () => false);
      if (answered) return;
      if (performance.now() > end) throw new Error(`Keycloak did not answer within ${startPatienceMs} ms`);
      await new Promise((resolve) => { setTimeout(resolve, 200); });
    }
  }

  async #makeRealm(): Promise<void> {
    // Who introspects a token must be among those that it is meant for.
    const audiences = ['orders', 'gateway'].map((name) => ({
      name, protocol: 'openid-connect', protocolMapper: 'oidc-audience-mapper', config: { 'included.custom.audience': name, 'access.token.claim': 'true', 'introspection.token.claim': 'true' },
    }));
    const confidential = { enabled: true, publicClient: false, secret: clientSecret, standardFlowEnabled: false };
    await this.#post(`${this.origin}/admin/realms`, JSON.stringify({
      realm, enabled: true, sslRequired: 'none', accessTokenLifespan: 300,
      clients: [
        { ...confidential, clientId: 'batch', serviceAccountsEnabled: true, protocolMappers: audiences },
        { ...confidential, clientId: 'gateway' },
        {
          ...confidential, clientId: 'shop-web', standardFlowEnabled: true, redirectUris: ['https://127.0.0.1:*'],
          attributes: { 'pkce.code.challenge.method': 'S256', 'access.token.lifespan': '4', 'post.logout.redirect.uris': '+' },
        },
      ],
      users: [{ username: 'anna', enabled: true, email: 'anna@shop.example', emailVerified: true, firstName: 'Anna', lastName: 'Shopper', credentials: [{ type: 'password', value: userPassword, temporary: false }] }],
    }), await this.#adminToken());
  }

  async #admin(path: string, body: object): Promise<void> {
    await this.#post(`${this.origin}/admin/realms/${realm}/${path}`, JSON.stringify(body), await this.#adminToken());
  }

  #adminToken(): Promise<string> {
    return this.#token(`${this.origin}/realms/master`, { grant_type: 'password', client_id: 'admin-cli', username: 'admin', password: this.#password });
  }

  async #token(issuer: string, form: Readonly<Record<string, string>>): Promise<string> {
    const response = await this.#post(`${issuer}/protocol/openid-connect/token`, new URLSearchParams(form));
    return ((await response.json()) as { access_token: string }).access_token;
  }

  async #post(url: string, body: URLSearchParams | string, token = ''): Promise<Response> {
    const headers = { ...(typeof body === 'string' && { 'content-type': 'application/json' }), ...(token !== '' && { authorization: `Bearer ${token}` }) };
    const response = await fetch(url, { method: 'POST', headers, body });
    if (!response.ok) throw new Error(`${url} answered ${response.status}: ${(await response.text()).slice(0, 500)}`);
    return response;
  }
}

/** Of the user `anna`. */
export const userPassword = 'password-of-a-test';
/** Of the clients `batch`, `gateway` and `shop-web`, the last for browsers. */
export const clientSecret = 'secret-of-a-test';
const realm = 'shop';
const startPatienceMs = 240_000;

