import { DemoFailure } from './demo-failure.ts';
import type { Fleet } from './fleet.ts';
import { askShop } from './gateway-client.ts';
import type { Narrator } from './narrator.ts';
import { runRemora } from './remora-command.ts';
import type { CommandResult } from './remora-command.ts';
import type { RemoraOptions, World } from './world.ts';

const commandMs = 30_000;
const questionMs = 10_000;

export function createWorld(fleet: Fleet, narrator: Narrator): World {
  return {
    fleet,
    narrator,
    memory: new Map(),
    remora: (args, options = {}) => remora(fleet, narrator, args, options),
    async shop(path, headers = {}) {
      const answer = await askShop({ port: fleet.gatewayPort, path, headers });
      const flags = Object.entries(headers).map(([name, value]) => ` -H '${name}: ${value}'`).join('');
      const id = answer.headers['x-request-id'];
      const head = `HTTP/1.1 ${answer.status}${id === undefined ? '' : `, x-request-id: ${String(id)}`}`;
      narrator.request(`curl -i${flags} http://127.0.0.1:${fleet.gatewayPort}${path}`, `${head}\n${answer.text}`, answer.tookMs);
      return answer;
    },
    api: (path) => json(`${fleet.api}${path}`),
    admin: (nodeId, path) => json(`http://127.0.0.1:${fleet.member(nodeId).ports.admin}${path}`),
    check(expected, holds, actual, processes = []) {
      if (!holds) throw new DemoFailure(expected, typeof actual === 'string' ? actual : JSON.stringify(actual, null, 2), processes);
      narrator.holds(expected);
    },
  };
}

async function remora(fleet: Fleet, narrator: Narrator, args: readonly string[], options: RemoraOptions): Promise<CommandResult> {
  const all = options.author === undefined ? args : [...args, '--author', options.author];
  const result = await runRemora({ args: all, server: fleet.api, timeoutMs: options.timeoutMs ?? commandMs, process: options.process ?? false });
  const line = `remora ${all.map((word) => (/[\s*{}<>|&]/.test(word) ? `'${word}'` : word)).join(' ')}`;
  if (options.quiet !== true) narrator.command(line, options.secret === true ? result.err : result.out + result.err, result.tookMs, result.exitCode);
  const wanted = options.exitCode ?? 0;
  if (result.exitCode !== wanted) {
    throw new DemoFailure(`\`${line}\` ends with exit code ${wanted}`, `exit code ${result.exitCode}\n${result.out}${result.err}`, [fleet.controlPlane, ...fleet.members.map((one) => one.sidecar)]);
  }
  return result;
}

async function json<Answer>(url: string): Promise<Answer> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(questionMs) });
  const text = await answer.text();
  if (!answer.ok) throw new DemoFailure(`GET ${url} answers`, `${answer.status}: ${text}`);
  return JSON.parse(text) as Answer;
}
