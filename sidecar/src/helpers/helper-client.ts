/**
 * Requests of the sidecar's own, from its control thread: to issuers of tokens, and to whoever else a policy has asked. Not part of the data path. Nothing is
 * thrown: what goes wrong is an answer.
 */
export interface HelperClient {
  request(request: HelperRequest): Promise<HelperAnswer>;
  /** Ends what is under way. */
  close(): Promise<void>;
}

export interface HelperRequest {
  /** `https:`; `http:` to private addresses, where they are allowed. */
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** For all of it: name, connection, answer and its body. */
  readonly deadlineMs: number;
  /** Of the answer; a longer one is cut off, and is none. */
  readonly bodyBytesMax: number;
  /** Private, loopback and link-local addresses too. Otherwise the address that a name really has is looked at for each connection. */
  readonly allowPrivateAddresses: boolean;
  /** A redirect is an answer like any other, to be passed on; it is not followed either way. */
  readonly takesRedirects?: boolean;
}

export type HelperAnswer =
  | { readonly ok: true; readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: Uint8Array }
  | { readonly ok: false; readonly code: HelperFailure; readonly message: string };

/**
 * `timeout`: not within the deadline. `address`: it may not be connected to. `connect`: nobody there, or TLS fails. `too-large`: more than was accepted.
 * `redirect`: it points elsewhere, which is never followed. `encoded`: its body is compressed, which was not asked for. `broken`: the connection ended early, or
 * what came is no HTTP. `closed`: this client is.
 */
export type HelperFailure = 'timeout' | 'address' | 'connect' | 'too-large' | 'redirect' | 'encoded' | 'broken' | 'closed';
