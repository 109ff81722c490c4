import { X509Certificate } from 'node:crypto';
import { createConnection, isIP, type Socket } from 'node:net';
import { connect, type ConnectionOptions } from 'node:tls';
import { writeProxyHeader } from '@remora/http/first-bytes/write-proxy-header';
import { certificatePem } from '@remora/identity/pem';
import type { UpstreamTls } from '@remora/snapshot/snapshot';
import type { HeldIdentity } from '../identity/held-identity.ts';
import { peerServiceCheck } from '../identity/peer-service-check.ts';
import { checkPeerNames } from '../tls/check-peer-names.ts';
import { systemRoots } from '../tls/system-roots.ts';
import type { ProbeQuestion } from './health-probe.ts';

/** How probes get to hosts. */
export interface ProbeWays {
  /** This sidecar's own certificate; null: it has none, and instances are asked in plaintext. */
  readonly identity: () => HeldIdentity | null;
  /** What a file or Secret of the snapshot holds, as `CertificateFiles` keeps it; null: it cannot be used. */
  readonly fileText: (path: string) => string | null;
  readonly nowMs: () => number;
}

/**
 * A connection to a host as its callers make them: mutual TLS to instances of the mesh that take it; to others TLS, a client's certificate and the PROXY protocol
 * where the Service says so. Rejects where there is none.
 */
export async function connectProbe(question: ProbeQuestion, protocol: string, ways: ProbeWays): Promise<Socket> {
  const { host: { at, endpoint, service }, tls, proxyProtocol } = question;
  const { host, port } = at;
  const lease = endpoint.source === 'lease';
  const held = lease && endpoint.mtls && at.plaintext !== true ? ways.identity() : null;
  if (held !== null) return secured({ host, port, ALPNProtocols: [protocol], ...meshOptions(held, service, ways) });
  if (lease || (tls === null && proxyProtocol === 0)) return plain(host, port);
  const socket = await plain(host, port);
  // A connection of our own: nobody stands behind it.
  if (proxyProtocol !== 0) socket.write(writeProxyHeader({ version: proxyProtocol, addresses: null }));
  return tls === null ? socket : secured({ socket, ALPNProtocols: [protocol], ...outsideOptions(tls, host, ways) }).catch((error: unknown) => {
    socket.destroy();
    throw error;
  });
}

function outsideOptions({ serverName, acceptedNames, caFiles, verify, minVersion, clientCertificate }: UpstreamTls, host: string, ways: ProbeWays): ConnectionOptions {
  const name = serverName === '' ? host : serverName;
  const text = (path: string): string => {
    const kept = ways.fileText(path);
    if (kept === null) throw new Error(`${path} cannot be used`);
    return kept;
  };
  return {
    servername: isIP(name) === 0 ? name : '', rejectUnauthorized: verify === 'full', minVersion: minVersion === '1.3' ? 'TLSv1.3' : 'TLSv1.2',
    checkServerIdentity: (_, { raw }) => {
      const problem = checkPeerNames(new X509Certificate(raw), acceptedNames.length > 0 ? acceptedNames : [name]);
      return problem === '' ? undefined : new Error(problem);
    },
    ...(caFiles.length > 0 ? { ca: caFiles.map(text) } : systemRoots()),
    ...(clientCertificate !== null && { cert: text(clientCertificate.certFile), key: text(clientCertificate.keyFile) }),
  };
}

function meshOptions({ key, chain, roots, trustDomain }: HeldIdentity, service: string, { nowMs }: ProbeWays): ConnectionOptions {
  const pem = (list: HeldIdentity['chain']): string => list.map(({ raw }) => certificatePem(raw)).join('');
  return {
    key: key.export({ type: 'pkcs8', format: 'pem' }), cert: pem(chain), ca: pem(roots), servername: '', minVersion: 'TLSv1.2',
    checkServerIdentity: peerServiceCheck({ service, trustDomain, roots, nowMs }),
  };
}

function plain(host: string, port: number): Promise<Socket> {
  const socket = createConnection({ host, port });
  return settled(socket, 'connect');
}

function secured(options: ConnectionOptions): Promise<Socket> {
  return settled(connect(options), 'secureConnect');
}

function settled(socket: Socket, event: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    socket.once(event, () => resolve(socket));
    socket.on('error', reject);
    socket.once('close', () => reject(new Error('the connection was closed')));
  });
}
