import { createHash, type X509Certificate } from 'node:crypto';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import type { RevocationList } from '@remora/identity/revocation-list';
import type { ClientCertificateSettings } from '@remora/policy-client-certificate/wire';
import { crlKind, encodeCrls } from '@remora/policy-kit/crl-facts';
import type { FactUpdate } from '@remora/policy-kit/facts';
import type { Snapshot } from '@remora/snapshot/snapshot';
import type { SnapshotError } from '@remora/snapshot/snapshot-error';
import type { Log } from '../telemetry/log.ts';
import type { CertificateStatus } from './certificate-files.ts';
import { authoritiesOf, checkCrls, crlFacts } from './check-crls.ts';
import { readBoundedFile } from './read-small-file.ts';

export interface CrlFilesOptions {
  readonly useFacts: (update: FactUpdate) => Promise<void>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  /** Rejects with a sentence. */
  readonly readFile?: (path: string) => Promise<Buffer>;
}

/**
 * The lists of revoked certificates that `clientCertificate.crlFiles` names, on the control thread: read when a snapshot names them first, looked at
 * every 5 s, verified against the authorities of the listeners, handed to the data threads as facts. A file that cannot be used never replaces
 * what was read before it: that stays until its own time is over.
 */
export class CrlFiles {
  readonly #options: CrlFilesOptions;
  readonly #kept = new Map<string, Kept>();
  #uses: Uses = noUses;
  /** Read for, not enforced yet. */
  #reached: Snapshot | null = null;
  /** One piece of work at a time, in order. */
  #working: Promise<unknown> = Promise.resolve();
  #timer: Timer | null = null;
  #bundles: ReadonlyMap<string, string> = new Map();
  /** What the data threads have. */
  #told = '';

  constructor(options: CrlFilesOptions) {
    this.#options = options;
  }

  /** Before a swap. null: every list that the next snapshot names can be used, and the data threads have it. One whose time is over can: policies deny by it. */
  reach(next: Snapshot): Promise<readonly SnapshotError[] | null> {
    return this.#inTurn(async () => {
      const uses = crlUses(next);
      const authorities = await this.#authorities(uses);
      const missing = uses.files.filter((file) => !this.#kept.get(file)?.lists || this.#kept.get(file)?.authorities !== authorities.digest);
      const errors: SnapshotError[] = [];
      const found = new Map<string, Kept>();
      for (const file of missing) {
        const kept = await this.#read(file, authorities, undefined);
        if (kept.problem === null) found.set(file, kept);
        else errors.push({ resource: 'clientCertificate', kind: 'clientCertificate', pointer: '/crlFiles', code: kept.code, message: kept.problem, policies: [] });
      }
      if (errors.length > 0) return errors;
      this.#reached = next;
      for (const [file, kept] of found) this.#kept.set(file, kept);
      await this.#hand();
      return null;
    });
  }

  /** The snapshot is enforced: what only an earlier one named is forgotten. */
  follow(snapshot: Snapshot): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#reached === snapshot) this.#reached = null;
      this.#uses = crlUses(snapshot);
      const named = new Set([...this.#uses.files, ...(this.#reached === null ? [] : crlUses(this.#reached).files)]);
      for (const file of this.#kept.keys()) if (!named.has(file)) this.#kept.delete(file);
      await this.#look();
      this.#watch();
    });
  }

  /** Looks at all files at once; also what the timer does. */
  refresh(): Promise<void> {
    return this.#inTurn(() => this.#look());
  }

  /** Beside those of certificates: `notAfterMs` is the list's `nextUpdate`, the earliest of the file. */
  get status(): readonly CertificateStatus[] {
    const now = this.#options.clock.wallMs();
    return this.#uses.files.map((file) => {
      const { lists, problem, loadedAtMs } = this.#kept.get(file) ?? nothing;
      const notAfterMs = Math.min(...(lists ?? []).map(({ endsMs }) => endsMs));
      const facts = lists === null ? null : { notAfterMs, names: lists.slice(0, namesShown).map(({ issuer }) => issuer.subject.replaceAll('\n', ', ')), keyType: lists[0]?.issuer.publicKey.asymmetricKeyType ?? '', fingerprint: '' };
      const over = facts !== null && notAfterMs <= now ? `${file} holds a list whose time was over at ${new Date(notAfterMs).toISOString()}` : null;
      return { resource: 'clientCertificate', pointer: '/crlFiles', file, facts, problem: problem ?? over, loadedAtMs };
    });
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #watch(): void {
    if (this.#uses.files.length === 0) this.close();
    else this.#timer ??= this.#options.timers.every(lookEveryMs, () => void this.refresh().catch((error: unknown) => this.#options.log.error('the data threads were not told about revoked certificates', { cause: String(error) })));
  }

  async #look(): Promise<void> {
    const { log } = this.#options;
    const authorities = await this.#authorities(this.#uses);
    for (const file of this.#uses.files) {
      const before = this.#kept.get(file);
      const read = await this.#read(file, authorities, before);
      if (read === before) continue;
      if (read.problem !== null && read.problem !== before?.problem) log.error('a list of revoked certificates cannot be used; what was read before stays until its time is over', { file, cause: read.problem });
      if (read.problem === null && before !== undefined) log.info('a new list of revoked certificates is in use', { file, certificates: read.lists?.reduce((sum, { serials }) => sum + serials.length, 0) ?? 0 });
      this.#kept.set(file, read.problem !== null && before !== undefined && before.authorities === authorities.digest ? { ...before, problem: read.problem } : read);
    }
    await this.#hand();
  }

  /** `before` itself where nothing changed. */
  async #read(path: string, authorities: Authorities, before: Kept | undefined): Promise<Kept> {
    const { readFile = readList, clock } = this.#options;
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (error) {
      return { ...nothing, authorities: authorities.digest, problem: error instanceof Error ? error.message : String(error) };
    }
    const digest = createHash('sha256').update(bytes).digest('hex');
    if (before?.problem === null && before.digest === digest && before.authorities === authorities.digest) return before;
    const check = checkCrls(bytes, authorities.certificates, clock.wallMs());
    const read = { digest, authorities: authorities.digest, loadedAtMs: clock.wallMs() };
    return check.ok ? { ...read, lists: check.lists, code: '', problem: null } : { ...read, lists: null, code: check.code, problem: `${path} ${check.problem}` };
  }

  /** Whom the listeners believe. Where a bundle cannot be read any more, what it said last counts, as it does for handshakes; it is said there. */
  async #authorities({ authorityFiles }: Uses): Promise<Authorities> {
    const { readFile = readList } = this.#options;
    const texts = await Promise.all(authorityFiles.map((file) => readFile(file).then((bytes) => bytes.toString('latin1'), () => this.#bundles.get(file) ?? '')));
    this.#bundles = new Map(authorityFiles.map((file, i) => [file, texts[i] ?? '']));
    return { digest: createHash('sha256').update(JSON.stringify(texts)).digest('hex'), certificates: texts.flatMap(authoritiesOf) };
  }

  async #hand(): Promise<void> {
    const facts = crlFacts([...this.#kept.values()].flatMap(({ lists }) => lists ?? []));
    const bodies = new Map<string, Uint8Array>();
    for (const [file, { lists }] of this.#kept) if (lists !== null) bodies.set(file, encodeCrls(lists.flatMap((list) => facts.get(list) ?? [])));
    const told = JSON.stringify([...this.#kept].filter(([, { lists }]) => lists !== null).map(([file, { digest, authorities }]) => [file, digest, authorities]));
    if (told === this.#told || (this.#told === '' && bodies.size === 0)) return;
    await this.#options.useFacts({ kind: crlKind, full: true, facts: bodies });
    this.#told = told;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#working.then(work);
    this.#working = result.catch(() => null);
    return result;
  }
}

interface Uses {
  readonly files: readonly string[];
  readonly authorityFiles: readonly string[];
}

interface Authorities {
  readonly digest: string;
  readonly certificates: readonly X509Certificate[];
}

interface Kept {
  /** null: nothing that can be used was ever read. */
  readonly lists: readonly RevocationList[] | null;
  /** Of the file. */
  readonly digest: string;
  /** Of the authorities that it was verified against. */
  readonly authorities: string;
  readonly code: string;
  readonly problem: string | null;
  readonly loadedAtMs: number;
}

/** Where no listener asks for certificates there is nobody to look up. */
function crlUses({ listeners, settings }: Snapshot): Uses {
  const authorityFiles = new Set([...listeners.values()].flatMap(({ tls }) => tls?.clientCaFiles ?? []));
  if (authorityFiles.size === 0) return noUses;
  const files = new Set<string>();
  for (const { sections } of settings.values()) {
    for (const { kind, settings: section } of sections) if (kind === 'clientCertificate') for (const file of (section as ClientCertificateSettings).crlFiles) files.add(file);
  }
  return { files: [...files], authorityFiles: files.size === 0 ? [] : [...authorityFiles] };
}

function readList(path: string): Promise<Buffer> {
  return readBoundedFile(path, fileMebibytesMax);
}

const noUses: Uses = { files: [], authorityFiles: [] };
const nothing: Kept = { lists: null, digest: '', authorities: '', code: 'unreadable-file', problem: null, loadedAtMs: 0 };
const lookEveryMs = 5_000;
const fileMebibytesMax = 8;
const namesShown = 20;
