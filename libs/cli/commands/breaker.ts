import type { Command } from 'commander';
import type { BreakerOrderAnswer } from '../api-shapes.ts';
import { addItemWaitOptions, untilEnforced } from '../item-enforcement.ts';
import type { ItemWaitOptions } from '../item-enforcement.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';

interface BreakerOptions extends ItemWaitOptions {
  readonly for?: string;
  readonly reason?: string;
}

/** `remora breaker open SERVICE` and `remora breaker close SERVICE`. */
export function addBreaker(program: Command, run: Runner): void {
  const breaker = program.command('breaker').description('opens and closes the breakers of a service\'s callers');
  addApiOptions(addItemWaitOptions(breaker
    .command('open')
    .description('stops all callers of a service from sending anything to it, for a while')
    .argument('<service>', 'name of the service')
    .option('--for <time>', 'how long, at most 24h (10m)')
    .option('--reason <text>', 'why, for whoever asks')
    .action(
      run<BreakerOptions>(async (session, options, [service = '']) => {
        const order = await send(session, service, 'open', options);
        session.answer(order, () => `callers of ${service} send nothing to it until ${order.until}\n`);
        return untilEnforced(session, options, 'breakers');
      }),
    )));
  addApiOptions(addItemWaitOptions(breaker
    .command('close')
    .description('closes what is open, by whomever, and keeps it closed for a while')
    .argument('<service>', 'name of the service')
    .option('--for <time>', 'how long nothing opens, at most 24h (1m)')
    .option('--reason <text>', 'why, for whoever asks')
    .action(
      run<BreakerOptions>(async (session, options, [service = '']) => {
        const order = await send(session, service, 'close', options);
        session.answer(order, () => `callers of ${service} send to it again; nothing opens until ${order.until}\n`);
        return untilEnforced(session, options, 'breakers');
      }),
    )));
}

async function send(session: Session, service: string, action: 'open' | 'close', { for: forTime, reason }: BreakerOptions): Promise<BreakerOrderAnswer> {
  const body = { action, ...(forTime !== undefined && { for: forTime }), ...(reason !== undefined && { reason }) };
  return (await session.api.call({ method: 'POST', path: `/v1/services/${encodeURIComponent(service)}/breaker`, body })).body as BreakerOrderAnswer;
}
