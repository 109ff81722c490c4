import type { Command } from 'commander';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { integerOption } from '../integer-option.ts';
import type { ServerSentEvent } from '../api-client.ts';

interface EventsOptions {
  readonly count?: number;
}

/** `remora events`: what happens, line by line, until Ctrl-C. */
export function addEvents(program: Command, run: Runner): void {
  const command = program
    .command('events')
    .description('follow what happens: revisions, sidecars that connect, refuse, are in sync; until Ctrl-C')
    .option('--count <count>', 'end after this many', integerOption({ min: 1, max: 1_000_000 }))
    .action(
      run<EventsOptions>(async (session, options) => {
        let seen = 0;
        for await (const event of session.api.events('/v1/events', session.terminal.signal)) {
          session.terminal.out(eventLine(event, session));
          seen += 1;
          if (seen === options.count) return;
        }
      }),
    );
  addApiOptions(command);
}

function eventLine(event: ServerSentEvent, session: Session): string {
  if (session.format !== 'table') return `${event.data}\n`;
  const facts = parseFacts(event.data);
  const { at = '', nodeId = '', subject = '', detail = '', version } = facts;
  const revision = version === undefined ? '' : ` revision ${version.index}`;
  return `${session.style.faint(at)}  ${session.style.strong(event.event.padEnd(20))} ${session.style.name(nodeId)}${subject === '' ? '' : ` (${subject})`}${revision}${detail === '' ? '' : `  ${detail}`}\n`;
}

interface EventFacts {
  readonly at?: string;
  readonly nodeId?: string;
  readonly subject?: string;
  readonly detail?: string;
  readonly version?: { readonly index: number };
}

function parseFacts(data: string): EventFacts {
  try {
    return JSON.parse(data) as EventFacts;
  } catch {
    return { detail: data };
  }
}
