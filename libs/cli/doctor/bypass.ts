import { fail, ok, skip, warn, type Finding } from './finding.ts';
import type { Address, SidecarAnswer } from './sidecar-answer.ts';

/** Tries a TCP connection; resolves whether somebody accepted it. */
export type Dial = (address: Address) => Promise<boolean>;

const addressesMax = 64;

/**
 * Whether the app can be reached around its sidecar: its port is tried at every address of this host that others can use. One where the sidecar itself listens is not
 * the app. What a firewall between hosts would drop cannot be seen from here: an open port on this host is told in any case.
 */
export async function findBypasses({ apps = {}, listeners }: SidecarAnswer, ownAddresses: readonly string[], dial: Dial): Promise<readonly Finding[]> {
  const entries = Object.entries(apps);
  if (entries.length === 0) return [skip('bypass', 'there is no app behind this sidecar')];
  const findings: Finding[] = [];
  for (const [name, app] of entries) findings.push(await findBypass(name, app, listeners, ownAddresses.slice(0, addressesMax), dial));
  return findings;
}

async function findBypass(name: string, app: Address, listeners: SidecarAnswer['listeners'], ownAddresses: readonly string[], dial: Dial): Promise<Finding> {
  const check = name === '' ? 'bypass' : `bypass ${name}`;
  const isSidecar = (host: string): boolean => listeners.some((each) => each.port === app.port && (each.host === host || isAny(each.host)));
  const tried = ownAddresses.filter((host) => !isSidecar(host));
  const open: string[] = [];
  for (const host of tried) if (await dial({ host, port: app.port })) open.push(host);
  const remote = !isLoopback(app.host) && !ownAddresses.includes(app.host);
  if (remote) return warn(check, `the app is at ${app.host}:${app.port}, which is not this host: whether others reach it cannot be tried from here`, 'keep its port to the address of the sidecar, by a firewall or a network policy');
  if (open.length > 0) {
    return fail(check, `the app answers at ${open.map((host) => addressText(host, app.port)).join(', ')} without its sidecar: no policy holds there`,
      `let the app listen on 127.0.0.1:${app.port} only; or drop it from outside: nft add rule inet filter input iifname != "lo" tcp dport ${app.port} drop`);
  }
  if (tried.length === 0) return ok(check, ownAddresses.length === 0 ? 'this host has no address but loopback' : `the sidecar itself listens on port ${app.port} of every address`);
  return ok(check, `port ${app.port} is closed at ${tried.length === 1 ? 'the address' : `all ${tried.length} addresses`} that others could use`);
}

function isAny(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

function addressText(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
