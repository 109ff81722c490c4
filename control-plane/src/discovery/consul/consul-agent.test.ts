import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { freePort } from '@remora/testing/free-port';
import { systemClock, systemTimers } from '@remora/core/clock';
import { seededRandom } from '@remora/core/random';
import { describeWith } from '@remora/testing/requirement';
import { expect, test, vi } from 'vitest';
import { describeSource, paymentsTarget, Recorder, type Placed } from '../testdata/source-contract.ts';
import { createConsulSource } from './consul-source.ts';

/** A real agent that keeps everything in memory, and forgets it when it is started again. */
class Agent {
  readonly #command: string;
  #process: ChildProcess | null = null;
  #places: readonly Placed[] = [];
  #ports: readonly number[] = [];
  address = '';

  constructor(command: string) {
    this.#command = command;
  }

  async start(): Promise<this> {
    if (this.address === '') {
      this.#ports = [await freePort(), await freePort(), await freePort()];
      this.address = `http://127.0.0.1:${this.#ports[0]}`;
    }
    const [http = 0, serf = 0, server = 0] = this.#ports;
    this.#process = spawn(this.#command, [
      'agent', '-dev', '-bind=127.0.0.1', '-client=127.0.0.1', '-log-level=error', `-http-port=${http}`, `-serf-lan-port=${serf}`, `-server-port=${server}`,
      '-serf-wan-port=-1', '-dns-port=-1', '-grpc-port=-1', '-grpc-tls-port=-1',
    ], { stdio: 'ignore' });
    await vi.waitFor(async () => {
      const leader = await (await fetch(`${this.address}/v1/status/leader`)).text();
      expect(leader).toContain(':');
    }, { timeout: 30_000, interval: 50 });
    await this.put(this.#places);
    return this;
  }

  async put(places: readonly Placed[]): Promise<void> {
    for (const gone of this.#places.filter((one) => !places.includes(one))) await this.call(`/v1/agent/service/deregister/payments-${gone.host}`);
    for (const { host, port } of places) await this.call('/v1/agent/service/register', { ID: `payments-${host}`, Name: 'payments', Address: host, Port: port, Tags: ['v2'], Meta: { version: '1.2' } });
    this.#places = places;
  }

  async call(path: string, body?: object): Promise<void> {
    const response = await fetch(`${this.address}${path}`, { method: 'PUT', ...(body && { body: JSON.stringify(body) }) });
    if (!response.ok && response.status !== 404) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process?.kill(name);
  }

  async stop(): Promise<void> {
    if (!this.#process) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGCONT');
    this.#process.kill('SIGKILL');
    await ended;
    this.#process = null;
  }
}

describeWith('consul', 'a Consul agent', (command) => {
  const hasty = { after: (ms: number, run: () => void) => systemTimers.after(ms / 20, run), every: (ms: number, run: () => void) => systemTimers.every(ms / 20, run) };
  const sourceOf = (agent: Agent): ReturnType<typeof createConsulSource> => createConsulSource({
    address: agent.address, token: () => '', authority: () => '', timers: hasty, clock: systemClock, random: seededRandom(1), limits: { waitMs: 1_000, graceMs: 1_000 },
  });

  describeSource('a Consul agent', { emptyIsAnswer: true, hangs: true }, async () => {
    const agent = await new Agent(command).start();
    let stopped = false;
    return {
      source: sourceOf(agent),
      discovery: { source: 'consul' },
      put: (places) => agent.put(places),
      async break() { stopped = true; await agent.stop(); },
      async hang() { agent.signal('SIGSTOP'); },
      async mend() {
        if (stopped) await agent.start();
        else agent.signal('SIGCONT');
      },
      end: () => agent.stop(),
    };
  });

  test('checks, weights, maintenance, metadata; a restart forgets everything, and the index goes back', async () => {
    const agent = await new Agent(command).start();
    const source = sourceOf(agent);
    try {
      await agent.call('/v1/agent/service/register', { ID: 'a', Name: 'payments', Address: '10.0.0.1', Port: 81, Tags: ['tier=gold'], Meta: { version: '7' }, Weights: { Passing: 5, Warning: 2 }, Check: { CheckID: 'a-check', TTL: '1h', Status: 'passing' } });
      const seen = new Recorder();
      source.follow({ ...paymentsTarget, discovery: { source: 'consul', consul: { tags: ['tier=gold'] } } }, seen);
      await vi.waitFor(() => expect(seen.answers.at(-1)).toMatchObject([{ ports: [{ host: '10.0.0.1', port: 81 }], labels: { tier: 'gold', version: '7' }, locality: 'dc1', weight: 5, draining: false }]));
      await agent.call('/v1/agent/check/warn/a-check');
      await vi.waitFor(() => expect(seen.answers.at(-1)).toMatchObject([{ weight: 2 }]));
      await agent.call('/v1/agent/service/maintenance/a?enable=true');
      await vi.waitFor(() => expect(seen.answers.at(-1)).toMatchObject([{ draining: true }]));
      await agent.call('/v1/agent/service/maintenance/a?enable=false');
      await agent.call('/v1/agent/check/fail/a-check');
      await vi.waitFor(() => expect(seen.answers.at(-1)).toEqual([]));
      await agent.stop();
      await vi.waitFor(() => expect(seen.failures.length).toBeGreaterThan(0));
      await agent.start();
      await agent.call('/v1/agent/service/register', { ID: 'b', Name: 'payments', Address: '10.0.0.2', Port: 82, Tags: ['tier=gold'] });
      await vi.waitFor(() => expect(seen.places()).toEqual(['10.0.0.2:82']));
    } finally {
      source.close();
      await agent.stop();
    }
  });
});
