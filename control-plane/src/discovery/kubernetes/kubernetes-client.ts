import { Agent, request, type Dispatcher } from 'undici';

export interface KubernetesClientDeps {
  /** `https://10.96.0.1:443`. */
  readonly address: string;
  /** Asked for at each request; '' for none. */
  readonly token: () => string;
  /** PEM; '' for the authorities of the system. */
  readonly authority: () => string;
  readonly limits?: Partial<KubernetesLimits>;
}

export interface KubernetesLimits {
  /** For a connection, and for the head of an answer. */
  readonly deadlineMs: number;
  /** How long a watch goes on before it is begun anew, on the server; a quarter more by chance. */
  readonly watchSeconds: number;
  /** A watch that says nothing for so much longer than that is hung. */
  readonly graceMs: number;
  /** Of one list, over all its pages, and of one event. */
  readonly answerBytes: number;
  readonly eventBytes: number;
}

export const defaultKubernetesLimits: KubernetesLimits = { deadlineMs: 10_000, watchSeconds: 60, graceMs: 10_000, answerBytes: 64 * 1024 * 1024, eventBytes: 8 * 1024 * 1024 };

/** An answer of the API that is none of success. */
export class KubernetesError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'KubernetesError';
    this.status = status;
  }
}

/** GET requests to a Kubernetes API, with what account and authorities its files name now. */
export class KubernetesClient {
  readonly limits: KubernetesLimits;
  readonly #deps: KubernetesClientDeps;
  #agent: Agent | null = null;
  #authority = '';

  constructor(deps: KubernetesClientDeps) {
    this.#deps = deps;
    this.limits = { ...defaultKubernetesLimits, ...deps.limits };
  }

  /** The body of a 200. Throws KubernetesError for others; what the network says otherwise. */
  async get(path: string, query: Readonly<Record<string, string>>, options: { readonly signal: AbortSignal; readonly bodyTimeoutMs: number }): Promise<Dispatcher.ResponseData['body']> {
    const token = this.#deps.token();
    const { statusCode, body } = await request(new URL(`${path}?${new URLSearchParams(query).toString()}`, this.#deps.address), {
      dispatcher: this.#dispatcher(), signal: options.signal, headersTimeout: this.limits.deadlineMs, bodyTimeout: options.bodyTimeoutMs,
      headers: { accept: 'application/json', 'user-agent': 'remora', ...(token !== '' && { authorization: `Bearer ${token}` }) },
    });
    if (statusCode === 200) return body;
    const said = await shortText(body);
    throw new KubernetesError(statusCode, statusText(statusCode, said));
  }

  close(): void {
    void this.#agent?.destroy();
    this.#agent = null;
  }

  #dispatcher(): Agent {
    const authority = this.#deps.authority();
    if (this.#agent && authority === this.#authority) return this.#agent;
    void this.#agent?.close();
    this.#authority = authority;
    this.#agent = new Agent({ pipelining: 1, connect: { timeout: this.limits.deadlineMs, ...(authority !== '' && { ca: authority }) } });
    return this.#agent;
  }
}

function statusText(status: number, said: string): string {
  if (status === 401) return 'the token is not believed (401)';
  if (status === 403) return `the account may not list and watch endpointslices (403)${said}`;
  return `answered ${status}${said}`;
}

const saidMax = 4_096;

/** `: message` of a Status object; '' where there is none. */
async function shortText(body: Dispatcher.ResponseData['body']): Promise<string> {
  try {
    let text = '';
    for await (const chunk of body) {
      text += String(chunk);
      if (text.length > saidMax) return '';
    }
    const { message } = JSON.parse(text) as { readonly message?: unknown };
    return typeof message === 'string' ? `: ${message.slice(0, 200)}` : '';
  } catch {
    return '';
  }
}
