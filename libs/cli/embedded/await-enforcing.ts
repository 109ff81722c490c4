import { request } from 'undici';
import type { ApiClient } from '../api-client.ts';
import type { Page, SidecarAnswer } from '../api-shapes.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { refusalErrors } from '../refusal-text.ts';

/** A side of the sidecar that listens, as its admin port tells. */
export interface Door {
  /** `gateway/plain`, `inbound`, `inbound/http`. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

const patienceMs = 30_000;
const betweenLooksMs = 50;

/**
 * Waits until the only sidecar enforces what it should, and answers where clients reach it. Fails with its own words when it
 * refuses (a port in use, for example), or when it takes too long.
 */
export async function awaitEnforcing(api: ApiClient, admin: string, ended: Promise<string>): Promise<readonly Door[]> {
  const deadline = performance.now() + patienceMs;
  let how: string | null = null;
  void ended.then((text) => { how = text; });
  for (;;) {
    const sidecar = await readSidecar(api);
    if (sidecar?.phase === 'in-sync') return readDoors(admin);
    if (sidecar?.lastRefusal) throw new CommandFailure(exitCodes.notEnforced, `the sidecar refuses the documents:\n${refusalErrors(sidecar.lastRefusal).trimEnd()}`, { detail: sidecar.lastRefusal });
    if (how !== null) throw new CommandFailure(exitCodes.serverFailed, how);
    if (performance.now() > deadline) throw new CommandFailure(exitCodes.notEnforced, `the sidecar does not enforce the documents after ${patienceMs / 1_000} s (${sidecar?.phase ?? 'it has not connected'})`);
    await new Promise((resolve) => { setTimeout(resolve, betweenLooksMs); });
  }
}

async function readSidecar(api: ApiClient): Promise<SidecarAnswer | undefined> {
  const { body } = await api.call({ method: 'GET', path: '/v1/sidecars', query: { limit: 1 } });
  return (body as Page<SidecarAnswer>).items[0];
}

async function readDoors(admin: string): Promise<readonly Door[]> {
  const answer = await request(`http://${admin}/status`, { headersTimeout: 5_000, bodyTimeout: 5_000 });
  const { listeners } = (await answer.body.json()) as { readonly listeners?: readonly Door[] };
  return (listeners ?? []).filter(({ name }) => /^(?:gateway|inbound)\b/.test(name));
}
