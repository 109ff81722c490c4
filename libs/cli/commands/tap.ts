import { Option, type Command } from 'commander';
import type { ServerSentEvent } from '../api-client.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';

interface TapOptions {
  readonly side?: string;
  readonly method?: string;
  readonly path?: string;
  readonly status?: string;
  readonly for?: string;
}

/** `remora tap NAME`: requests of a service or gateway as they end. */
export function addTap(program: Command, run: Runner): void {
  const command = program
    .command('tap')
    .description('show requests of a service or gateway as they end: never a header, a body or a query string')
    .argument('<name>', 'name of the service; `gateway/edge` for a gateway')
    .option('--path <path>', 'only this path and what is below it')
    .option('--status <status>', 'only this status (503) or class (5xx)')
    .option('--method <method>', 'only this method')
    .addOption(new Option('--side <side>', 'only what came in, what the app called, or what a gateway took').choices(['inbound', 'outbound', 'gateway']))
    .option('--for <time>', 'how long, at most 10m (30s)')
    .action(
      run<TapOptions>(async (session, options, [name = '']) => {
        for await (const event of session.api.events(tapPath(name, options), session.terminal.signal)) {
          session.terminal.out(eventText(event, session));
          if (event.event === 'end') return;
        }
      }),
    );
  addApiOptions(command);
}

function tapPath(name: string, { side, method, path, status, for: time }: TapOptions): string {
  const place = /^(?:(service|gateway)\/)?([^/]+)$/.exec(name);
  if (place === null) throw new CommandFailure(exitCodes.usage, `${name} is neither the name of a service nor gateway/NAME`);
  const query = new URLSearchParams({ [place[1] ?? 'service']: place[2] ?? '' });
  for (const [key, value] of Object.entries({ side, method, path, status, for: time })) if (value !== undefined) query.set(key, value);
  return `/v1/tap?${query.toString()}`;
}

function eventText(event: ServerSentEvent, session: Session): string {
  const { style } = session;
  const facts = JSON.parse(event.data) as TapEvent;
  if (session.format !== 'table') return `${JSON.stringify({ event: event.event, ...facts })}\n`;
  if (event.event === 'end') return style.faint(`${facts.seen} requests seen at ${facts.sidecars} sidecars\n`);
  if (event.event === 'left-out') return `${style.warn(`${facts.sidecars} more sidecars are not looked at`)}\n`;
  if (event.event === 'silent') return `${style.warn(`${facts.nodeId}: ${facts.detail}`)}\n`;
  if (event.event === 'skipped') return `${style.warn(`${facts.nodeId}: ${facts.skipped} more ended than are shown`)}\n`;
  return requestLine(facts, session);
}

function requestLine(seen: TapEvent, { style }: Session): string {
  const status = seen.grpcStatus > 0 ? `${seen.status} (grpc ${seen.grpcStatus})` : String(seen.status);
  const facts = [
    `${Math.round(seen.durationMs)} ms`,
    seen.destination === '' ? '' : `to ${seen.destination}${seen.upstream === '' ? '' : ` at ${seen.upstream}`}`,
    seen.attempts > 1 ? `${seen.attempts} attempts` : '',
    seen.reason === '' ? '' : style.bad(seen.reason),
    `from ${seen.caller}`,
    seen.requestId,
  ];
  const head = `${style.faint(seen.at)}  ${style.name(seen.nodeId)} ${seen.side.padEnd(8)} ${seen.method} ${seen.authority}${seen.path}`;
  return `${head}  ${seen.status >= 500 || seen.status === 0 ? style.bad(status) : status}  ${facts.filter((fact) => fact !== '').join('  ')}\n`;
}

interface TapEvent {
  readonly at: string;
  readonly nodeId: string;
  readonly side: string;
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly destination: string;
  readonly upstream: string;
  readonly status: number;
  readonly grpcStatus: number;
  readonly reason: string;
  readonly attempts: number;
  readonly durationMs: number;
  readonly requestId: string;
  readonly caller: string;
  readonly seen: number;
  readonly sidecars: number;
  readonly detail: string;
  readonly skipped: number;
}
