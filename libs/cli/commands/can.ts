import type { Command } from 'commander';
import type { CanAnswer } from '../api-shapes.ts';
import { canText } from '../can-text.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { addApiOptions } from '../session.ts';
import type { Runner } from '../session.ts';

interface CanOptions {
  readonly token?: string;
  readonly consumer?: string;
  readonly caller?: string;
  readonly address?: string;
  readonly gateway?: string;
  readonly port?: string;
  readonly header?: readonly string[];
}

/** `remora can web POST orders/checkout`, `remora can GET https://api…/orders --token T`: allowed or refused, and by what. */
export function addCan(program: Command, run: Runner): void {
  const command = program
    .command('can')
    .description('say whether a request would be let in, and which rule of which policy decides')
    .argument('<who-or-method>', 'the calling service and then the method, or the method')
    .argument('<what...>', 'method and SERVICE/PATH, or a URL of a gateway')
    .option('--caller <id>', 'who calls, by a certificate of the mesh: a service, gateway/NAME, or a SPIFFE id')
    .option('--consumer <name>', 'as if a credential of this Consumer had been shown')
    .option('--token <token>', 'with this bearer token, judged by the sidecar as any other')
    .option('--address <address>', 'from this client address; 127.0.0.1 unless told')
    .option('--header <name: value>', 'with this header; may be repeated', (value: string, before: readonly string[]) => [...before, value], [])
    .option('--gateway <name>', 'the gateway, where several serve the host')
    .option('--port <name>', 'port of the service, or listener of the gateway')
    .action(
      run<CanOptions>(async (session, options, [first = '', ...others]) => {
        const body = questionOf([first, ...others.flat()], options);
        const answer = (await session.api.call({ method: 'POST', path: '/v1/can', body })).body as CanAnswer;
        session.answer(answer, () => canText(answer, session.style));
        return answer.allowed ? exitCodes.ok : exitCodes.refused;
      }),
    );
  addApiOptions(command);
}

function questionOf(words: readonly string[], options: CanOptions): object {
  const usage = 'expected [CALLER] METHOD SERVICE/PATH, or METHOD URL: remora can web POST orders/checkout';
  if (words.length < 2 || words.length > 3) throw new CommandFailure(exitCodes.usage, usage);
  const [method = '', target = ''] = words.slice(-2);
  const caller = words.length === 3 ? words[0] : options.caller;
  if (words.length === 3 && options.caller !== undefined) throw new CommandFailure(exitCodes.usage, 'the caller is named twice');
  if (!/^[A-Za-z-]+$/.test(method)) throw new CommandFailure(exitCodes.usage, usage);
  const { consumer, token, address, port } = options;
  const common = { method: method.toUpperCase(), headers: headersOf(options.header ?? []), caller, consumer, token, address, port };
  if (/^https?:\/\//i.test(target)) return { ...common, url: target, gateway: options.gateway };
  const slash = target.indexOf('/');
  const name = slash < 0 ? target : target.slice(0, slash);
  if (name === '') throw new CommandFailure(exitCodes.usage, usage);
  if (options.gateway !== undefined) throw new CommandFailure(exitCodes.usage, '--gateway goes with a URL');
  return { ...common, service: name, path: slash < 0 ? '/' : target.slice(slash) };
}

function headersOf(lines: readonly string[]): Record<string, string> {
  const headers = Object.create(null) as Record<string, string>;
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon <= 0) throw new CommandFailure(exitCodes.usage, `--header ${line.slice(0, 60)}: expected NAME: VALUE`);
    headers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
  }
  return headers;
}
