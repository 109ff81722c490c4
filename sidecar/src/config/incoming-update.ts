import { contentHash } from '@remora/core/hash';
import type { Subject } from '@remora/core/subject';
import type { Version } from '@remora/core/version';
import { Manifest } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { Begin } from '@remora/proto/gen/remora/push/v1/push';
import type { Candidate } from '@remora/snapshot/candidate';
import { resourceBytesMax } from '@remora/snapshot/decode';
import { decodeResource } from '@remora/snapshot/read-manifest';
import { fromWireVersion } from './wire-codes.ts';

/** Bounds of one update, whoever sends it. */
export const updateBytesMax = 268_435_456;
export const updateResourcesMax = 500_000;

export type Assembly =
  | { readonly kind: 'complete'; readonly candidate: Candidate }
  | { readonly kind: 'missing'; readonly hashes: readonly string[] }
  | { readonly kind: 'damaged'; readonly code: string; readonly message: string };

/** One update while it arrives: between Begin and Commit, and again after what was missing was sent. */
export class IncomingUpdate {
  readonly version: Version;
  readonly hash: string;
  readonly base: string;
  readonly granted: ReadonlySet<string>;
  readonly fallback: boolean;
  readonly #manifest: Uint8Array;
  readonly #received = new Map<string, Uint8Array>();
  #bytes = 0;
  #damage: { readonly code: string; readonly message: string } | null = null;

  constructor(begin: Begin) {
    this.version = fromWireVersion(begin.version);
    this.hash = begin.hash.toString('hex');
    this.base = begin.base.toString('hex');
    this.granted = new Set(begin.grantedGuards);
    this.fallback = begin.fallback;
    this.#manifest = begin.manifest;
    if (contentHash(begin.manifest) !== this.hash) this.#damage = { code: 'hash-mismatch', message: 'the manifest is not what its hash says' };
  }

  add(hashBytes: Buffer, bytes: Uint8Array): void {
    if (this.#damage) return;
    const hash = hashBytes.toString('hex');
    this.#bytes += bytes.length;
    if (bytes.length > resourceBytesMax) this.#spoil('too-large', `resource ${hash.slice(0, 12)} has ${bytes.length} bytes, at most ${resourceBytesMax} are accepted`);
    else if (this.#bytes > updateBytesMax || this.#received.size >= updateResourcesMax) this.#spoil('too-large', `the update has more than ${updateBytesMax} bytes or ${updateResourcesMax} resources`);
    else if (contentHash(bytes) !== hash) this.#spoil('hash-mismatch', `resource ${hash.slice(0, 12)} is not what its hash says`);
    else this.#received.set(hash, bytes);
  }

  /**
   * Follows manifest and pages through what was received and what is in force. Yields now and then; the answer is a
   * candidate with exactly what the manifest reaches.
   */
  *assemble(subject: Subject, inForce: Candidate | null): Generator<void, Assembly, void> {
    if (this.#damage) return { kind: 'damaged', ...this.#damage };
    const resources = new Map<string, Uint8Array>();
    const missing = new Set<string>();
    const take = (hash: string): Uint8Array | null => {
      const bytes = this.#received.get(hash) ?? inForce?.resources.get(hash);
      if (bytes) resources.set(hash, bytes);
      else missing.add(hash);
      return bytes ?? null;
    };
    const manifest = readManifest(this.#manifest);
    let sinceYield = 0;
    // A manifest that cannot be read is refused with its reason by the decoder.
    for (const page of manifest?.pages ?? []) {
      const bytes = take(page.toString('hex'));
      const body = bytes && decodeResource(bytes)?.body;
      if (body?.$case !== 'page') continue;
      for (const entry of body.value.entries) take(entry.hash.toString('hex'));
      sinceYield += body.value.entries.length;
      if (sinceYield < entriesPerSlice) continue;
      sinceYield = 0;
      yield;
    }
    if (missing.size > 0) return { kind: 'missing', hashes: [...missing] };
    return { kind: 'complete', candidate: { subject, version: this.version, hash: this.hash, manifest: this.#manifest, resources } };
  }

  #spoil(code: string, message: string): void {
    this.#damage = { code, message };
    this.#received.clear();
  }
}

/** About 2 ms of work. */
const entriesPerSlice = 2_048;

function readManifest(bytes: Uint8Array): Manifest | null {
  try {
    return Manifest.decode(bytes);
  } catch {
    return null;
  }
}
