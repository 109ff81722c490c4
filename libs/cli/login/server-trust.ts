import { createHash } from 'node:crypto';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { checkServerIdentity, connect } from 'node:tls';
import type { ConnectionOptions, PeerCertificate } from 'node:tls';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';

/** How a command knows that it talks to its control plane; both absent: by the authorities that this machine trusts. */
export interface ServerTrust {
  /** PEM of authorities. */
  readonly caFile?: string | undefined;
  /** SHA-256 of a certificate of the chain that signs, base64url: as in join tokens, and in `remora ca show`. */
  readonly pin?: string | undefined;
}

const lookMs = 5_000;

/** Options for TLS connections. With a pin the server is asked for its chain first, and nothing is told to it then. */
export async function tlsOptions(server: URL, { caFile, pin }: ServerTrust): Promise<ConnectionOptions> {
  if (server.protocol !== 'https:') {
    if (caFile !== undefined || pin !== undefined) throw new CommandFailure(exitCodes.usage, `${server.origin} has no TLS: --ca-file and --pin are for https://`);
    return {};
  }
  if (pin !== undefined) return { ca: await pinnedAuthority(server, pin), checkServerIdentity: isControlPlane };
  if (caFile !== undefined) return { ca: readAuthorities(caFile), checkServerIdentity: isControlPlane };
  return {};
}

function readAuthorities(path: string): string {
  try {
    const text = readFileSync(path, 'utf8');
    if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
    throw new Error('there is no certificate in it');
  } catch (error) {
    throw new CommandFailure(exitCodes.usage, `--ca-file ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** The certificate with the pin, out of what the server shows. Whoever shows it proves by the next handshake that they have its signature. */
function pinnedAuthority(server: URL, pin: string): Promise<string> {
  if (!/^[A-Za-z0-9_-]{43}$/.test(pin)) throw new CommandFailure(exitCodes.usage, '--pin: expected 43 characters of base64url, as `remora ca show -o json` has them');
  const host = server.hostname.replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    const fail = (text: string): void => reject(new CommandFailure(exitCodes.unreachable, `cannot reach the control plane at ${server.origin}: ${text}`));
    const socket = connect({ host, port: Number(server.port || 443), servername: /[a-z]/i.test(host) && !host.includes(':') ? host : '', rejectUnauthorized: false, timeout: lookMs }, () => {
      const found = chainOf(socket.getPeerCertificate(true)).find(({ raw }) => createHash('sha256').update(raw).digest('base64url') === pin);
      socket.destroy();
      if (found?.ca) resolve(found.toString());
      else reject(new CommandFailure(exitCodes.unreachable, `${server.origin} shows no authority with the pin ${pin}: it is another control plane, or somebody is in between`));
    });
    socket.once('timeout', () => {
      socket.destroy();
      fail(`no TLS within ${lookMs} ms`);
    });
    socket.once('error', (error) => fail(error.message));
  });
}

function chainOf(leaf: PeerCertificate | undefined): X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let at: (PeerCertificate & { issuerCertificate?: PeerCertificate }) | undefined = leaf; at?.raw && chain.length < 10; at = at.issuerCertificate === at ? undefined : at.issuerCertificate) chain.push(new X509Certificate(at.raw));
  return chain;
}

/** The name of the host, or the identity that the mesh's own authority gives its control plane and nobody else. */
function isControlPlane(host: string, certificate: PeerCertificate): Error | undefined {
  const names = (certificate.subjectaltname ?? '').split(', ').filter((name) => name !== '');
  if (names.length === 1 && /^URI:spiffe:\/\/[a-z0-9._-]{1,255}\/control-plane$/.test(names[0] ?? '')) return undefined;
  return checkServerIdentity(host, certificate);
}
