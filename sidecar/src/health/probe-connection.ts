import { createConnection, type Socket } from 'node:net';
import { connect, type ConnectionOptions } from 'node:tls';
import { certificatePem } from '@remora/identity/pem';
import type { HeldIdentity } from '../identity/held-identity.ts';
import { peerServiceCheck } from '../identity/peer-service-check.ts';
import { readSmallFile } from '../tls/read-small-file.ts';
import type { ProbeQuestion } from './health-probe.ts';

/** How probes get to hosts. */
export interface ProbeWays {
  /** This sidecar's own certificate; null: it has none, and instances are asked in plaintext. */
  readonly identity: () => HeldIdentity | null;
  readonly nowMs: () => number;
}

/**
 * A connection to a host as its callers make them: mutual TLS to instances of the mesh that take it, TLS to others where the Service says so. Rejects where there
 * is none.
 */
export async function connectProbe({ host: { at, endpoint, service }, tls }: ProbeQuestion, protocol: string, ways: ProbeWays): Promise<Socket> {
  const { host, port } = at;
  const held = endpoint.source === 'lease' && endpoint.mtls && at.plaintext !== true ? ways.identity() : null;
  if (held !== null) return secured({ host, port, ALPNProtocols: [protocol], ...meshOptions(held, service, ways) });
  if (tls === null || endpoint.source === 'lease') return plain(host, port);
  const ca = tls.caFiles.length === 0 ? undefined : await Promise.all(tls.caFiles.map((file) => readSmallFile(file)));
  const name = tls.serverName === '' ? host : tls.serverName;
  return secured({
    host, port, servername: /^[\d.]+$|:/.test(name) ? '' : name, ALPNProtocols: [protocol], rejectUnauthorized: tls.verify === 'full', ...(ca && { ca }),
  });
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
