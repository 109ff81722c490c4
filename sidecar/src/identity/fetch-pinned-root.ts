import { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import { isPinned } from '@remora/identity/join-token';
import { controlPlaneServerName, peerChain } from './control-plane-check.ts';

const timeoutMs = 5_000;

/**
 * The root certificate that a join token names by its hash, from whoever answers at an address: nothing is believed of them but
 * bytes with that hash, and nothing is told to them. The connection after this one trusts that root only. Rejects with one sentence.
 */
export function fetchPinnedRoot(address: { readonly host: string; readonly port: number }, pin: string): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const { host, port } = address;
    // The certificate is believed by its hash, and the connection used for nothing.
    const socket = connect({ host, port, servername: controlPlaneServerName, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
    const fail = (cause: string): void => {
      socket.destroy();
      reject(new Error(cause));
    };
    socket.setTimeout(timeoutMs, () => fail(`no answer within ${timeoutMs / 1_000} s`));
    // OpenSSL's own texts have lines and places in its source; the reason is what is worth reading.
    socket.on('error', (error: Error & { readonly reason?: string }) => fail(error.reason === undefined ? error.message : `no TLS: ${error.reason}`));
    socket.on('close', () => fail('the connection was closed'));
    socket.on('secureConnect', () => {
      const raw = peerChain(socket.getPeerCertificate(true)).find((each) => isPinned(pin, each));
      if (!raw) return fail('who answers does not have the root certificate that the join token names: is it the control plane that made the token?');
      socket.destroy();
      resolve(new X509Certificate(raw));
    });
  });
}
