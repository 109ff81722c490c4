import type { Command } from 'commander';
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { AuditAnchor, AuditPlace } from '@remora/control-plane/audit/audit-entry';
import type { AuditVerdict } from '@remora/control-plane/audit/audit-file';
import type { AuditEntryAnswer, AuditListAnswer } from '../api-shapes.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';
import { integerOption } from '../integer-option.ts';
import { addApiOptions } from '../session.ts';
import type { Runner, Session } from '../session.ts';
import { renderTable } from '../table.ts';
import { wordArgument } from '../word-argument.ts';
import { collect } from './apply.ts';

interface AuditOptions {
  readonly limit: number;
  readonly to?: string;
  readonly head?: readonly string[];
}

const exportPage = 1_000;
const fileBytesMax = 4 * 1024 ** 3;

/** `remora audit list`, `remora audit export --to FILE`, `remora audit verify [FILE]`. */
export function addAudit(program: Command, run: Runner): void {
  const command = program
    .command('audit')
    .description('who did what: `audit list`, `audit export --to FILE`, and `audit verify [FILE]`, which proves that nothing of it was changed (of a file offline)')
    .addArgument(wordArgument('<action>', 'list, export or verify', ['list', 'export', 'verify']))
    .argument('[file]', 'with verify: an exported file; default: the log of the control plane')
    .option('--limit <count>', 'with list: how many of the newest', integerOption({ min: 1, max: 1_000 }), 50)
    .option('--to <file>', 'with export: a file that must not exist; default: standard output')
    .option('--head <seq:hash>', 'with verify: a place noted earlier, which must be in it; may be given several times', collect)
    .action(
      run<AuditOptions>(async (session, options, [action = '', file]) => {
        if (action === 'list' && file === undefined) return list(session, options);
        if (action === 'export' && file === undefined) return exportLog(session, options);
        if (action === 'verify') return report(session, file === undefined ? await verifyOnline(session, options) : await verifyOffline(session, options, file));
        throw new CommandFailure(exitCodes.usage, `audit ${[action, file].filter((word) => word !== undefined).join(' ')}: expected audit list, audit export or audit verify [FILE]`);
      }),
    );
  addApiOptions(command);
}

async function list(session: Session, { limit }: AuditOptions): Promise<void> {
  const found = (await session.api.call({ method: 'GET', path: '/v1/audit', query: { limit } })).body as AuditListAnswer;
  session.answer(found, () => listText(found.items, session));
}

function listText(items: readonly AuditEntryAnswer[], { style }: Session): string {
  const rows = items.map((one) => {
    if (one.damaged !== undefined) return [String(one.seq), style.bad('damaged'), '', '', '', ''];
    const actor = one.actor as { readonly kind?: string; readonly name?: string; readonly id?: string } | undefined;
    const outcome = one.outcome === 'done' ? one.outcome : style.bad(one.outcome ?? '');
    return [String(one.seq), one.at ?? '', [actor?.kind, actor?.name].filter((word) => word !== undefined && word !== '').join(' '), one.from ?? '-', `${one.action ?? ''} ${outcome}`, JSON.stringify(one.what)];
  });
  return renderTable(['SEQ', 'AT', 'WHO', 'FROM', 'ACTION', 'WHAT'].map((title) => ({ title })), rows, style.faint);
}

/** Entries as they are stored, page after page. `seen` answers whether to go on. */
async function readLog(session: Session, seen: (text: string) => boolean): Promise<{ readonly anchor: AuditAnchor; readonly head: AuditPlace }> {
  const { anchor, head } = (await session.api.call({ method: 'GET', path: '/v1/audit', query: { limit: 1 } })).body as AuditListAnswer;
  for (let after = anchor.seq; after < head.seq;) {
    const { body } = await session.api.call({ method: 'GET', path: '/v1/audit/export', query: { after, limit: Math.min(exportPage, head.seq - after) } });
    const lines = String(body).split('\n').filter((line) => line !== '');
    if (lines.length === 0) break;
    for (const line of lines) if (!seen(line)) return { anchor, head };
    after += lines.length;
  }
  return { anchor, head };
}

async function exportLog(session: Session, { to }: AuditOptions): Promise<void> {
  const { fileEnd, fileHead } = await import('@remora/control-plane/audit/audit-file');
  const lines: string[] = [];
  const { anchor, head } = await readLog(session, (text) => {
    lines.push(text);
    return true;
  });
  const text = `${[fileHead(anchor), ...lines, fileEnd(head)].join('\n')}\n`;
  if (to === undefined) {
    session.terminal.out(text);
    return;
  }
  const path = resolve(session.terminal.cwd, to);
  try {
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw new CommandFailure(exitCodes.usage, `--to ${to}: ${(error as Error).message}`, { cause: error });
  }
  session.answer({ file: path, entries: lines.length, head }, () => `${lines.length} entries in ${to}; head ${head.seq}:${head.hash}\n`);
}

async function verifyOffline(session: Session, { head }: AuditOptions, file: string): Promise<AuditVerdict> {
  const { verifyFile } = await import('@remora/control-plane/audit/audit-file');
  let bytes: Uint8Array;
  try {
    bytes = file === '-' ? await session.terminal.readStdin(fileBytesMax) : readFileSync(resolve(session.terminal.cwd, file));
  } catch (error) {
    throw new CommandFailure(exitCodes.usage, `${file}: ${(error as Error).message}`, { cause: error });
  }
  return verifyFile(bytes, placesIn(head ?? []));
}

async function verifyOnline(session: Session, options: AuditOptions): Promise<AuditVerdict> {
  const { WatchedVerifier } = await import('@remora/control-plane/audit/audit-file');
  const { anchor } = (await session.api.call({ method: 'GET', path: '/v1/audit', query: { limit: 1 } })).body as AuditListAnswer;
  const verifier = new WatchedVerifier(anchor, placesIn(options.head ?? []));
  const { head } = await readLog(session, (text) => verifier.add(text) === null);
  const broken = verifier.end() ?? (verifier.place.seq === head.seq && verifier.place.hash === head.hash ? null : { seq: verifier.place.seq + 1, problem: `the control plane says that the newest entry is ${head.seq}, and it is not there` });
  return broken ? { ok: false, broken, line: broken.seq } : { ok: true, entries: verifier.count, head: verifier.place, anchor };
}

function placesIn(texts: readonly string[]): AuditPlace[] {
  return texts.map((text) => {
    const match = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text);
    if (!match) throw new CommandFailure(exitCodes.usage, `--head ${text}: expected a number and a hash, such as verify prints them: 41:9f2c…`);
    return { seq: Number(match[1]), hash: match[2] ?? '' };
  });
}

function report(session: Session, verdict: AuditVerdict): ExitCode {
  session.answer(verdict, () => {
    if (!verdict.ok) return `${session.style.bad('broken:')} from entry ${verdict.broken.seq} on nothing can be believed: ${verdict.broken.problem}\n`;
    const { entries, head, anchor } = verdict;
    return `${session.style.good('whole:')} ${entries} entries${anchor.seq > 0 ? `, after ${anchor.seq} that retention removed` : ''}; head ${head.seq}:${head.hash}\n`;
  });
  return verdict.ok ? exitCodes.ok : exitCodes.refused;
}
