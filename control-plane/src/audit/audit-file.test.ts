import { describe, expect, test } from 'vitest';
import { ChainVerifier, chainNote } from './audit-chain.ts';
import type { AuditNote, AuditPlace } from './audit-entry.ts';
import { fileEnd, fileHead, verifyFile } from './audit-file.ts';
import { MemoryAudit } from './memory-audit.ts';

const note = (action: string): AuditNote => ({ action, actor: { kind: 'token', id: 'k3', name: 'ci' }, from: '10.0.0.7', outcome: 'done', what: { text: 'ä ☃ "quoted"', list: [1, 2.5, null] } });

/** A log of eight entries of which retention removed three. */
function exported(): { readonly audit: MemoryAudit; readonly file: Buffer } {
  let nowMs = 1_800_000_000_000;
  const audit = new MemoryAudit({ wallMs: () => nowMs, monotonicMs: () => 0 });
  for (let n = 0; n < 8; n++) {
    audit.append([note(`n${n}`)]);
    nowMs += 1_000;
  }
  audit.trim({ beforeMs: 1_800_000_003_000, limit: 100 });
  return { audit, file: fileOf(audit) };
}

function fileOf(audit: MemoryAudit): Buffer {
  const anchor = audit.anchor();
  return Buffer.from([fileHead(anchor), ...audit.texts({ after: anchor.seq, limit: 1_000 }).map(({ text }) => text), fileEnd(audit.head()), ''].join('\n'));
}

describe('an exported audit log', () => {
  test('is whole, and says where it begins and ends', () => {
    const { audit, file } = exported();
    expect(verifyFile(file)).toEqual({ ok: true, entries: 6, head: audit.head(), anchor: { seq: 3, hash: expect.stringMatching(/^[0-9a-f]{64}$/), sealedBy: 9 } });
    expect(audit.head().seq).toBe(9);
  });

  test('every flipped bit of every byte is found, at the line where it is or the one behind', () => {
    const { file } = exported();
    let line = 1;
    for (let at = 0; at < file.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const changed = Buffer.from(file);
        changed[at] = (changed[at] ?? 0) ^ (1 << bit);
        const verdict = verifyFile(changed);
        expect(verdict.ok, `byte ${at}, bit ${bit}: ${changed.subarray(Math.max(0, at - 20), at + 20).toString('latin1')}`).toBe(false);
      }
      if (file[at] === 0x0a) line += 1;
    }
    expect(line).toBe(9);
  });

  test.each<[string, (lines: string[]) => string[], number]>([
    ['an entry is missing', (lines) => lines.toSpliced(3, 1), 6],
    ['two entries changed places', ([a = '', b = '', c = '', d = '', ...rest]) => [a, b, d, c, ...rest], 5],
    ['an entry is there twice', (lines) => lines.toSpliced(2, 0, lines[2] ?? ''), 6],
    ['the end is cut off', (lines) => lines.toSpliced(6, 1), 9],
    ['the beginning is cut off', (lines) => lines.toSpliced(1, 1), 4],
    ['an entry was changed', (lines) => lines.with(2, (lines[2] ?? '').replace('10.0.0.7', '10.0.0.8')), 5],
    ['an entry was changed, and its hash with it', (lines) => lines.with(2, forged(lines[2] ?? '')), 6],
    ['an entry is in another form', (lines) => lines.with(2, (lines[2] ?? '').replace(':', ': ')), 5],
    ['an entry is no entry', (lines) => lines.with(2, '[]'), 5],
  ])('%s: the first entry that does not hold is named', (_what, change, seq) => {
    const { file } = exported();
    const lines = change(file.toString().slice(0, -1).split('\n'));
    expect(verifyFile(Buffer.from(`${lines.join('\n')}\n`))).toMatchObject({ ok: false, broken: { seq } });
  });

  test('entries removed without an entry of retention are missed, however well the beginning fits', () => {
    const { audit } = exported();
    const [first, second, ...rest] = audit.texts({ after: 3, limit: 100 });
    const removed = JSON.parse(second?.text ?? '') as AuditPlace;
    expect(first).toBeDefined();
    const lines = [fileHead({ seq: removed.seq, hash: removed.hash, sealedBy: 9 }), ...rest.map(({ text }) => text), fileEnd(audit.head()), ''];
    expect(verifyFile(Buffer.from(lines.join('\n')))).toMatchObject({ ok: false, broken: { seq: 6, problem: expect.stringContaining('no entry of retention') } });
  });

  test('a log that was rewritten from an entry on is whole, and not what was noted elsewhere', () => {
    const { audit } = exported();
    const noted = audit.head();
    let place: AuditPlace = audit.anchor();
    const rewritten: string[] = [];
    for (const { text } of audit.texts({ after: 3, limit: 100 })) {
      const { seq: _, prev: __, hash: ___, at, ...body } = JSON.parse(text) as AuditNote & Record<string, string>;
      const next = chainNote({ ...body, from: '10.9.9.9' }, place, Date.parse(at ?? ''));
      rewritten.push(next.text);
      place = next.entry;
    }
    const file = Buffer.from([fileHead(audit.anchor()), ...rewritten, fileEnd(place), ''].join('\n'));
    expect(verifyFile(file).ok).toBe(true);
    expect(verifyFile(file, [noted])).toMatchObject({ ok: false, broken: { seq: noted.seq, problem: expect.stringContaining('rewritten') } });
    expect(verifyFile(file, [{ seq: 99, hash: noted.hash }])).toMatchObject({ ok: false, broken: { seq: 99 } });
  });

  test('nothing, and what is something else', () => {
    for (const text of ['', '\n', '{}\n', 'kind: Policy\n', '{"format":"remora-audit-1"}\n']) expect(verifyFile(Buffer.from(text)).ok, text).toBe(false);
    expect(verifyFile(Buffer.from([0xff, 0xfe, 0x0a])).ok).toBe(false);
  });

  test('an empty log is whole', () => {
    const audit = new MemoryAudit({ wallMs: () => 0, monotonicMs: () => 0 });
    expect(verifyFile(fileOf(audit))).toMatchObject({ ok: true, entries: 0 });
    expect(new ChainVerifier({ seq: 0, hash: 'f'.repeat(64), sealedBy: 0 }).end()).not.toBeNull();
  });
});

/** Changed, with a hash that fits. */
function forged(text: string): string {
  const { hash: _, seq, prev, at, ...body } = JSON.parse(text) as AuditNote & { seq: number; prev: string; at: string; hash: string };
  return chainNote({ ...body, from: '10.0.0.8' }, { seq: seq - 1, hash: prev }, Date.parse(at)).text;
}
