import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { request } from 'node:http';
import type { Dial } from './bypass.ts';

const dialTimeoutMs = 1_000;
const statusTimeoutMs = 5_000;
const bytesMax = 4 * 1024 * 1024;

/** Addresses of this host that others can use; a link-local one with its interface. */
export function ownAddresses(): readonly string[] {
  const found = new Set<string>();
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    for (const { internal, address, family } of addresses ?? []) {
      if (!internal) found.add(family === 'IPv6' && address.startsWith('fe80:') ? `${address}%${name}` : address);
    }
  }
  return [...found];
}

/** One that does not answer within a second is not open to us. */
export const dialTcp: Dial = ({ host, port }) =>
  new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (open: boolean): void => {
      socket.destroy();
      resolve(open);
    };
    socket.setTimeout(dialTimeoutMs, () => end(false));
    socket.on('connect', () => end(true));
    socket.on('error', () => end(false));
  });

/** The status of a sidecar from its admin port. Rejects with one sentence. */
export function fetchStatus(admin: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asked = request(`http://${admin}/status`, { timeout: statusTimeoutMs, agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (piece: string) => {
        text += piece;
        if (text.length > bytesMax) answer.destroy(new Error(`${admin} answers more than a sidecar does`));
      });
      answer.on('error', reject);
      answer.on('end', () => {
        try {
          resolve(JSON.parse(text));
        } catch {
          reject(new Error(`${admin} answers something that is no JSON: is it the admin port of a sidecar?`));
        }
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`${admin} does not answer within ${statusTimeoutMs / 1_000} s`)));
    asked.on('error', reject);
    asked.end();
  });
}
