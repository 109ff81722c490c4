import type { Command } from 'commander';
import { ageText } from '../age-text.ts';
import type { MtlsStatusAnswer } from '../api-shapes.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { renderTable } from '../table.ts';
import { wordArgument } from '../word-argument.ts';

interface MtlsOptions {
  readonly since?: string;
}

/** `remora mtls status SERVICE`: who calls it, with a certificate of the mesh and without. */
export function addMtls(program: Command, run: Runner): void {
  const command = program
    .command('mtls')
    .description('who calls a service, with a certificate of the mesh and without: `mtls status SERVICE`')
    .addArgument(wordArgument('<action>', 'status', ['status']))
    .argument('<service>', 'name of the service')
    .option('--since <time>', 'how long ago, at most 24h (24h)')
    .action(
      run<MtlsOptions>(async (session, { since }, [action = '', service = '']) => {
        if (action !== 'status') throw new CommandFailure(exitCodes.usage, `mtls ${action}: expected mtls status SERVICE`);
        const answer = (await session.api.call({ method: 'GET', path: `/v1/services/${encodeURIComponent(service)}/mtls`, query: since === undefined ? {} : { since } })).body as MtlsStatusAnswer;
        session.answer(answer, () => statusText(answer, session));
      }),
    );
  addApiOptions(command);
}

function statusText(status: MtlsStatusAnswer, session: Session): string {
  return [portsText(status, session), callersText(status, session), plaintextText(status, session)].filter((text) => text !== '').join('\n');
}

function portsText({ service, ports, instances }: MtlsStatusAnswer, { style }: Session): string {
  const rows = ports.map(({ port, mode, shadow, mtls, plaintext }) => [style.name(port), shadow ? `${mode} (shadow)` : mode, ...shares(mtls, plaintext)]);
  const head = `${style.strong(service)}: ${instances.mtls} of ${instances.all} instances take mTLS\n`;
  return head + renderTable([{ title: 'PORT' }, { title: 'MODE' }, { title: 'REQUESTS', align: 'right' }, { title: 'MTLS', align: 'right' }, { title: 'PLAINTEXT', align: 'right' }], rows, style.faint);
}

function callersText({ callers }: MtlsStatusAnswer, { style, terminal }: Session): string {
  if (callers.length === 0) return '';
  const rows = callers.map(({ caller, declared, instances, mtls, plaintext, lastPlaintextAt }) => [
    style.name(caller), declared ? 'yes' : 'no', `${instances.withCertificate} of ${instances.all}`, ...shares(mtls, plaintext), lastPlaintextAt === null ? '-' : ageText(lastPlaintextAt, terminal.now()),
  ]);
  return renderTable(
    [{ title: 'CALLER' }, { title: 'DECLARED' }, { title: 'WITH CERTIFICATE' }, { title: 'REQUESTS', align: 'right' }, { title: 'MTLS', align: 'right' }, { title: 'PLAINTEXT', align: 'right' }, { title: 'LAST PLAINTEXT' }],
    rows, style.faint,
  );
}

function plaintextText({ plaintext }: MtlsStatusAnswer, { style, terminal }: Session): string {
  if (plaintext.length === 0) return 'nobody came in plaintext\n';
  const rows = plaintext.map(({ address, caller, port, requests, lastAt }) => [style.name(address), caller === '' ? '-' : caller, port, requests.toLocaleString('en'), ageText(lastAt, terminal.now())]);
  return renderTable([{ title: 'CAME IN PLAINTEXT' }, { title: 'OF' }, { title: 'TO' }, { title: 'REQUESTS', align: 'right' }, { title: 'LAST' }], rows, style.faint);
}

/** How many, and the shares of both ways. */
function shares(mtls: number, plaintext: number): [string, string, string] {
  const all = mtls + plaintext;
  const share = (part: number): string => (all === 0 ? '-' : part === 0 ? '0%' : part === all ? '100%' : `${Math.min(99.9, Math.max(0.1, (part / all) * 100)).toFixed(1)}%`);
  return [all.toLocaleString('en'), share(mtls), share(plaintext)];
}
