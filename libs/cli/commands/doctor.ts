import { Option } from 'commander';
import type { Command } from 'commander';
import { CommandFailure } from '../command-failure.ts';
import { findBypasses, type Dial } from '../doctor/bypass.ts';
import { examine } from '../doctor/examine.ts';
import { fail, ok, type Finding } from '../doctor/finding.ts';
import { dialTcp, fetchStatus, ownAddresses } from '../doctor/host-facts.ts';
import { isSidecarAnswer } from '../doctor/sidecar-answer.ts';
import { exitCodes, type ExitCode } from '../exit-codes.ts';
import type { Runner, Session } from '../session.ts';

/** What `remora doctor` asks of the host it runs on; tests give another one. */
export interface DoctorHost {
  readonly fetchStatus: (admin: string) => Promise<unknown>;
  readonly addresses: () => readonly string[];
  readonly dial: Dial;
}

const thisHost: DoctorHost = { fetchStatus, addresses: ownAddresses, dial: dialTcp };

interface DoctorOptions {
  readonly admin: string;
}

/** `remora doctor`, on a host beside a sidecar: what works, what does not, and what helps. */
export function addDoctor(program: Command, run: Runner): void {
  program
    .command('doctor')
    .description('on a host beside a sidecar: is everything as it should be, and can the app be reached around its sidecar?')
    .option('--admin <host:port>', 'admin address of the sidecar', '127.0.0.1:15000')
    .addOption(new Option('-o, --output <format>', 'table, json or yaml').choices(['table', 'json', 'yaml']).default('table'))
    .addHelpText('after', '\nEnds with 0 where nothing is wrong (warnings are not), with 1 where something is, with 3 where no sidecar answers.\n')
    .action(run<DoctorOptions>((session, { admin }) => examineHost(session, admin, thisHost)));
}

export async function examineHost(session: Session, admin: string, host: DoctorHost): Promise<ExitCode> {
  if (!/^(?:\[[0-9a-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$/i.test(admin)) throw new CommandFailure(exitCodes.usage, '--admin: expected HOST:PORT, an IPv6 address in brackets');
  let status: unknown;
  try {
    status = await host.fetchStatus(admin);
  } catch (error) {
    return tell(session, [fail('sidecar', `none answers at ${admin}: ${(error as Error).message}`, 'is it running on this host? Its admin port is in its settings (--admin-port)')], exitCodes.unreachable);
  }
  if (!isSidecarAnswer(status)) return tell(session, [fail('sidecar', `who answers at ${admin} is no sidecar`, 'give its admin port with --admin')], exitCodes.unreachable);
  const findings = [ok('sidecar', `${status.nodeId} answers at ${admin}`), ...examine(status, session.terminal.now()), ...(await findBypasses(status, host.addresses(), host.dial))];
  return tell(session, findings, findings.some(({ state }) => state === 'fail') ? exitCodes.refused : exitCodes.ok);
}

function tell(session: Session, findings: readonly Finding[], code: ExitCode): ExitCode {
  const healthy = findings.every(({ state }) => state !== 'fail');
  session.answer({ healthy, findings }, () => textOf(findings, session));
  return code;
}

function textOf(findings: readonly Finding[], { style }: Session): string {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const marks = { ok: style.good('ok  '), warn: style.strong('warn'), fail: style.bad('FAIL'), skip: style.faint('-   ') } as const;
  return findings.map(({ check, state, found, help }) => `${marks[state]}  ${check.padEnd(width)}  ${found}\n${help === '' ? '' : `${' '.repeat(width + 8)}→ ${help}\n`}`).join('');
}
