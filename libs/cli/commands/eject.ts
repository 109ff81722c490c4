import type { Command } from 'commander';
import type { HostOrderListAnswer } from '../api-shapes.ts';
import { addItemWaitOptions, untilEnforced } from '../item-enforcement.ts';
import type { ItemWaitOptions } from '../item-enforcement.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';

interface EjectOptions extends ItemWaitOptions {
  readonly for?: string;
  readonly reason?: string;
}

/** `remora eject SERVICE HOST` and `remora uneject SERVICE HOST`. */
export function addEject(program: Command, run: Runner): void {
  addApiOptions(addItemWaitOptions(program
    .command('eject')
    .description('takes a host out of what callers of a service use, for a while')
    .argument('<service>', 'name of the service')
    .argument('<host>', '`10.0.0.7:8080`, the id of an instance, or an address alone')
    .option('--for <time>', 'how long, at most 24h (10m)')
    .option('--reason <text>', 'why, for whoever asks')
    .action(
      run<EjectOptions>(async (session, options, [service = '', host = '']) => {
        const { for: forTime, reason } = options;
        const body = { host, ...(forTime !== undefined && { for: forTime }), ...(reason !== undefined && { reason }) };
        const answer = await order(session, service, 'eject', body);
        session.answer(answer, () => answer.items.map((item) => `${item.host}: no caller of ${service} uses it until ${item.until}\n`).join(''));
        return untilEnforced(session, options, 'hosts');
      }),
    )));
}

export function addUneject(program: Command, run: Runner): void {
  addApiOptions(addItemWaitOptions(program
    .command('uneject')
    .description('takes a host of a service back, whoever took it out: people, or the detectors of callers')
    .argument('<service>', 'name of the service')
    .argument('<host>', '`10.0.0.7:8080`, the id of an instance, or an address alone')
    .option('--reason <text>', 'why, for whoever asks')
    .action(
      run<EjectOptions>(async (session, options, [service = '', host = '']) => {
        const { reason } = options;
        const answer = await order(session, service, 'uneject', { host, ...(reason !== undefined && { reason }) });
        session.answer(answer, () => answer.items.map((item) => `${item.host}: callers of ${service} use it again; a host that goes on failing is ejected anew\n`).join(''));
        return untilEnforced(session, options, 'hosts');
      }),
    )));
}

async function order(session: Session, service: string, what: 'eject' | 'uneject', body: object): Promise<HostOrderListAnswer> {
  return (await session.api.call({ method: 'POST', path: `/v1/services/${encodeURIComponent(service)}/${what}`, body })).body as HostOrderListAnswer;
}
