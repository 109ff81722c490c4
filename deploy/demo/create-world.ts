import { DemoFailure } from './demo-failure.ts';
import type { Fleet } from './fleet.ts';
import { askShop } from './gateway-client.ts';
import type { Narrator } from './narrator.ts';
import { runRemora } from './remora-command.ts';
import type { CommandResult } from './remora-command.ts';
import type { RemoraOptions, World } from './world.ts';

/** Who types what nobody in particular does. */
export const narratorName = 'demo';
const commandMs = 30_000;
const questionMs = 10_000;
/** Of the value of a header: the rest may be a secret. */
const shownMax = 12;

export function createWorld(fleet: Fleet, narrator: Narrator): World {
  return {
    fleet,
    narrator,
    memory: new Map(),
    remora: (args, options = {}) => remora(fleet, narrator, args, options),
    async shop(path, headers = {}) {
      const answer = await askShop({ port: fleet.gatewayPort, path, headers });
      const flags = Object.entries(headers).map(([name, value]) => ` -H '${name}: ${value.length > shownMax ? `${value.slice(0, shownMax)}…` : value}'`).join('');
      const id = answer.headers['x-request-id'];
      const head = `HTTP/1.1 ${answer.status}${id === undefined ? '' : `, x-request-id: ${String(id)}`}`;
      narrator.request(`curl -i${flags} http://127.0.0.1:${fleet.gatewayPort}${path}`, `${head}\n${answer.text}`, answer.tookMs);
      return answer;
    },
    api: (path) => json(`${fleet.api}${path}`, { authorization: `Bearer ${fleet.people.tokenOf(narratorName)}` }),
    admin: (nodeId, path) => json(`http://127.0.0.1:${fleet.member(nodeId).ports.admin}${path}`),
    check(expected, holds, actual, processes = []) {
      if (!holds) throw new DemoFailure(expected, typeof actual === 'string' ? actual : JSON.stringify(actual, null, 2), processes);
      narrator.holds(expected);
    },
  };
}

async function remora(fleet: Fleet, narrator: Narrator, args: readonly string[], options: RemoraOptions): Promise<CommandResult> {
  const result = await runRemora({ args, server: fleet.api, token: fleet.people.tokenOf(options.author ?? narratorName), timeoutMs: options.timeoutMs ?? commandMs, process: options.process ?? false });
  const typed = `remora ${args.map((word) => (/[\s*{}<>|&]/.test(word) ? `'${word}'` : word)).join(' ')}`;
  const line = options.author === undefined ? typed : `${typed}    # ${options.author}`;
  if (options.quiet !== true) narrator.command(line, options.secret === true ? result.err : result.out + result.err, result.tookMs, result.exitCode);
  const wanted = options.exitCode ?? 0;
  if (result.exitCode !== wanted) {
    throw new DemoFailure(`\`${line}\` ends with exit code ${wanted}`, `exit code ${result.exitCode}\n${result.out}${result.err}`, [fleet.controlPlane, ...fleet.members.map((one) => one.sidecar)]);
  }
  return result;
}

async function json<Answer>(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const answer = await fetch(url, { headers, signal: AbortSignal.timeout(questionMs) });
  const text = await answer.text();
  if (!answer.ok) throw new DemoFailure(`GET ${url} answers`, `${answer.status}: ${text}`);
  return JSON.parse(text) as Answer;
}
