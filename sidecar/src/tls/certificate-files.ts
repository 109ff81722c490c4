import { randomBytes } from 'node:crypto';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import { secretPrefix } from '@remora/snapshot/decode-tls';
import type { Snapshot } from '@remora/snapshot/snapshot';
import type { SnapshotError } from '@remora/snapshot/snapshot-error';
import type { Log } from '../telemetry/log.ts';
import { checkAuthorities, checkCertificate, type FileCheck, type FileFacts } from './check-files.ts';
import { fileUses, useKey, type FileUse } from './file-uses.ts';
import { readSmallFile } from './read-small-file.ts';
import type { TlsMaterial } from './tls-material.ts';

export interface CertificateFilesOptions {
  readonly useTlsMaterial: (material: TlsMaterial) => Promise<void>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  /** Rejects with a sentence. */
  readonly readFile?: (path: string) => Promise<string>;
}

/** A use of files as it is now: for metrics and admin. Never anything of a key. */
export interface CertificateStatus {
  readonly resource: string;
  readonly pointer: string;
  readonly file: string;
  /** null: nothing that can be used was ever read. */
  readonly facts: FileFacts | null;
  /** What is wrong with the files as they are, or with what is used; null where nothing is. */
  readonly problem: string | null;
  /** Unix milliseconds; 0 for never. */
  readonly loadedAtMs: number;
}

/**
 * The files that TLS needs, on the control thread: reads them when a snapshot names them first, looks every 5 s whether they changed, and
 * hands what is good to the data threads. What cannot be used never replaces what can: the old one stays in use, and it is said.
 * Rotates what session tickets are made with.
 */
export class CertificateFiles {
  readonly #options: CertificateFilesOptions;
  readonly #kept = new Map<string, Kept>();
  #uses: readonly FileUse[] = [];
  #secrets: ReadonlyMap<string, Uint8Array> = new Map();
  /** Read for, not enforced yet. */
  #reached: Snapshot | null = null;
  #ticketSecret: Uint8Array = randomBytes(32);
  /** One piece of work at a time, in order. */
  #working: Promise<unknown> = Promise.resolve();
  #timers: readonly Timer[] = [];

  constructor(options: CertificateFilesOptions) {
    this.#options = options;
  }

  /** Before a swap: reads what the next snapshot names and is not known yet. null: all of it can be used, and the data threads have it. */
  reach(next: Snapshot): Promise<readonly SnapshotError[] | null> {
    return this.#inTurn(async () => {
      const uses = fileUses(next);
      const found = new Map<string, Kept>();
      const errors: SnapshotError[] = [];
      for (const use of uses) {
        const key = useKey(use);
        if (found.has(key) || this.#kept.get(key)?.texts) continue;
        const read = await this.#read(use);
        if (read.kept.problem === null) found.set(key, read.kept);
        // Its value comes by another lane, soon: until then handshakes that need it fail, and it is said.
        else if (!isSecret(use)) errors.push(toError(use, read));
      }
      if (errors.length > 0) return errors;
      this.#reached = next;
      for (const [key, kept] of found) this.#kept.set(key, kept);
      if (found.size > 0) await this.#hand();
      return null;
    });
  }

  /** The snapshot is enforced: what only an earlier one named is forgotten; what cannot be read is tried again and again. */
  follow(snapshot: Snapshot): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#reached === snapshot) this.#reached = null;
      this.#uses = fileUses(snapshot);
      let changed = this.#forgetOthers();
      for (const use of this.#uses) {
        const key = useKey(use);
        if (this.#kept.has(key)) continue;
        const { kept } = await this.#read(use);
        this.#kept.set(key, kept);
        changed = true;
        if (kept.problem !== null) this.#options.log.error('TLS cannot use a file', { resource: use.resource, field: use.pointer, cause: kept.problem });
      }
      if (changed) await this.#hand();
      this.#watch();
    });
  }

  /** Values of the Secrets that this sidecar may have, whenever they change. */
  useSecrets(secrets: ReadonlyMap<string, Uint8Array>): void {
    this.#secrets = secrets;
    this.#done(this.refresh());
  }

  /** True: there were some. */
  #forgetOthers(): boolean {
    const named = new Set([...this.#uses, ...(this.#reached === null ? [] : fileUses(this.#reached))].map(useKey));
    let forgotten = false;
    for (const key of this.#kept.keys()) if (!named.has(key)) forgotten = this.#kept.delete(key) || forgotten;
    return forgotten;
  }

  /** Looks at all files at once; also what the timer does. */
  refresh(): Promise<void> {
    return this.#inTurn(async () => {
      let changed = false;
      for (const use of this.#uses) changed = (await this.#refreshUse(use)) || changed;
      if (changed) await this.#hand();
    });
  }

  /** True: the data threads need to know. */
  async #refreshUse(use: FileUse): Promise<boolean> {
    const { log, clock } = this.#options;
    const key = useKey(use);
    const before = this.#kept.get(key);
    const { kept } = await this.#read(use);
    const place = { resource: use.resource, field: use.pointer };
    if (kept.texts !== null && before !== undefined && sameTexts(kept.texts, before.texts)) {
      if (before.problem !== kept.problem) this.#kept.set(key, { ...before, problem: kept.problem });
      if (before.problem === null && kept.problem !== null) log.error('a certificate in use has expired', { ...place, cause: kept.problem });
      return false;
    }
    // An expired one may replace nothing but another expired one.
    const usable = kept.texts !== null && (kept.problem === null || before === undefined || before.texts === null);
    if (usable) {
      log.info('TLS uses new files', { ...place, names: kept.facts?.names ?? [], notAfter: new Date(kept.facts?.notAfterMs ?? 0).toISOString() });
      this.#kept.set(key, { ...kept, loadedAtMs: clock.wallMs() });
      return true;
    }
    if (before === undefined || before.problem !== kept.problem) {
      log.error('TLS cannot use a file; what was read before stays in use', { ...place, cause: kept.problem });
      this.#kept.set(key, { ...(before ?? nothing), problem: kept.problem });
    }
    return false;
  }

  get status(): readonly CertificateStatus[] {
    const now = this.#options.clock.wallMs();
    return this.#uses.map((use) => {
      const { facts, problem, loadedAtMs } = this.#kept.get(useKey(use)) ?? nothing;
      const expired = facts !== null && facts.notAfterMs <= now ? expiredSince(facts) : null;
      return { resource: use.resource, pointer: use.pointer, file: use.kind === 'certificate' ? use.certFile : use.file, facts, problem: problem ?? expired, loadedAtMs };
    });
  }

  /** What a file or Secret of the snapshot holds; null where it cannot be used. */
  text(path: string): string | null {
    for (const { texts } of this.#kept.values()) {
      const text = texts?.get(path);
      if (text !== undefined) return text;
    }
    return null;
  }

  close(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers = [];
  }

  #watch(): void {
    if (this.#timers.length > 0 || this.#uses.length === 0) return;
    const { timers } = this.#options;
    this.#timers = [timers.every(lookEveryMs, () => this.#done(this.refresh())), timers.every(ticketRotationMs, () => this.#done(this.rotateTickets()))];
  }

  #done(work: Promise<void>): void {
    work.catch((error: unknown) => this.#options.log.error('the data threads were not told about TLS', { cause: String(error) }));
  }

  /** Tickets given before are worth nothing from now on: who comes with one does a full handshake. */
  rotateTickets(): Promise<void> {
    return this.#inTurn(() => {
      this.#ticketSecret = randomBytes(32);
      return this.#hand();
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#working.then(work);
    this.#working = result.catch(() => null);
    return result;
  }

  async #hand(): Promise<void> {
    const files = new Map<string, string>();
    for (const { texts } of this.#kept.values()) for (const [path, text] of texts ?? []) files.set(path, text);
    await this.#options.useTlsMaterial({ files, ticketSecret: this.#ticketSecret });
  }

  async #read(use: FileUse): Promise<Read> {
    const read = this.#options.readFile ?? readSmallFile;
    const texts = new Map<string, string>();
    for (const [field, path] of filesOf(use)) {
      try {
        texts.set(path, path.startsWith(secretPrefix) ? this.#secret(path.slice(secretPrefix.length)) : await read(path));
      } catch (error) {
        return { field, code: 'unreadable-file', kept: { ...nothing, problem: error instanceof Error ? error.message : String(error) } };
      }
    }
    return this.#judge(use, texts);
  }

  #secret(name: string): string {
    const value = this.#secrets.get(name);
    if (value === undefined) throw new Error(`Secret ${name} is not here: it was never set, or has not come yet`);
    return Buffer.from(value).toString('utf8');
  }

  #judge(use: FileUse, texts: ReadonlyMap<string, string>): Read {
    const now = this.#options.clock.wallMs();
    const check: FileCheck = use.kind === 'certificate'
      ? checkCertificate(texts.get(use.certFile) ?? '', texts.get(use.keyFile) ?? '')
      : checkAuthorities(texts.get(use.file) ?? '');
    if (!check.ok) {
      const path = use.kind === 'certificate' ? (check.field === 'keyFile' ? use.keyFile : use.certFile) : use.file;
      return { field: check.field, code: check.code, kept: { ...nothing, problem: `${nameOf(path)} ${check.problem}` } };
    }
    const { facts } = check;
    // Of several authorities one may have ended: the others still count.
    const expired = use.kind === 'certificate' && facts.notAfterMs <= now;
    return { field: use.kind === 'certificate' ? 'certFile' : '', code: 'certificate-expired', kept: { texts, facts, problem: expired ? expiredSince(facts) : null, loadedAtMs: now } };
  }
}

/** As people know it. */
function nameOf(path: string): string {
  return path.startsWith(secretPrefix) ? `Secret ${path.slice(secretPrefix.length)}` : path;
}

function isSecret(use: FileUse): boolean {
  return use.kind === 'certificate' && use.certFile.startsWith(secretPrefix);
}

interface Kept {
  /** By path; null: nothing can be used. */
  readonly texts: ReadonlyMap<string, string> | null;
  readonly facts: FileFacts | null;
  readonly problem: string | null;
  readonly loadedAtMs: number;
}

interface Read {
  readonly field: 'certFile' | 'keyFile' | '';
  readonly code: string;
  readonly kept: Kept;
}

function filesOf(use: FileUse): readonly (readonly [Read['field'], string])[] {
  return use.kind === 'certificate' ? [['certFile', use.certFile], ['keyFile', use.keyFile]] : [['', use.file]];
}

function toError(use: FileUse, { field, code, kept }: Read): SnapshotError {
  return { resource: use.resource, kind: '', pointer: field === '' ? use.pointer : `${use.pointer}/${field}`, code, message: kept.problem ?? '', policies: [] };
}

function expiredSince(facts: FileFacts): string {
  return `the certificate has expired at ${new Date(facts.notAfterMs).toISOString()}`;
}

function sameTexts(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string> | null): boolean {
  if (b === null) return false;
  for (const [path, text] of a) if (b.get(path) !== text) return false;
  return true;
}

const nothing: Kept = { texts: null, facts: null, problem: null, loadedAtMs: 0 };
const lookEveryMs = 5_000;
const ticketRotationMs = 12 * 60 * 60 * 1_000;
