import { contentHash } from '@remora/core/hash';
import type { Subject } from '@remora/core/subject';
import type { Version } from '@remora/core/version';
import {
  Destination, EntryType, Fleet, Inbound, Listener, Manifest, Resource, Route, Scope, Section, Settings, type DeepPartial, type Entry,
} from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { Candidate } from '@remora/snapshot/candidate';

/** Builds whole, correct snapshots for tests: hashes, pages and order are right unless a test breaks them. */
export class CandidateBuilder {
  readonly #subject: Subject;
  readonly #resources = new Map<string, Uint8Array>();
  readonly #entries: Entry[] = [];
  readonly #pageEntries: number;

  constructor(subject: Subject, options: { readonly pageEntries?: number } = {}) {
    this.#subject = subject;
    this.#pageEntries = options.pageEntries ?? 4_096;
  }

  fleet(fleet: DeepPartial<Fleet> = {}): this {
    return this.#add(EntryType.ENTRY_TYPE_FLEET, 'mesh', { $case: 'fleet', value: Fleet.fromPartial(fleet) });
  }

  inbound(inbound: DeepPartial<Inbound> & { readonly portName: string }): this {
    const value = Inbound.fromPartial({ port: 8080, protocol: 'http', ...inbound });
    return this.#add(EntryType.ENTRY_TYPE_INBOUND, value.portName, { $case: 'inbound', value });
  }

  listener(listener: DeepPartial<Listener> & { readonly name: string }): this {
    const value = Listener.fromPartial({ port: 8080, protocol: 'http', ...listener });
    return this.#add(EntryType.ENTRY_TYPE_LISTENER, value.name, { $case: 'listener', value });
  }

  destination(destination: DeepPartial<Destination> & { readonly service: string }): this {
    const value = Destination.fromPartial({ ports: [{ name: 'http', port: 8080, protocol: 'http' }], ...destination });
    return this.#add(EntryType.ENTRY_TYPE_DESTINATION, value.service, { $case: 'destination', value });
  }

  /** Without an action: forwards to `orders` (gateways) or the owner's instances. */
  route(route: DeepPartial<Route> & { readonly name: string }): this {
    const gateway = this.#subject.kind === 'gateway';
    const value = Route.fromPartial({
      owner: this.#subject.name,
      scope: gateway ? Scope.SCOPE_GATEWAY : Scope.SCOPE_INBOUND,
      action: { $case: 'forward', value: { targets: gateway ? [{ service: 'orders', weight: 1 }] : [] } },
      ...route,
    });
    const scope = value.scope === Scope.SCOPE_GATEWAY ? 'gateway' : value.scope === Scope.SCOPE_OUTBOUND ? 'outbound' : 'inbound';
    return this.#add(EntryType.ENTRY_TYPE_ROUTE, `${scope}/${value.owner}/${value.name}`, { $case: 'route', value });
  }

  /** Answers the hash to refer to. */
  settings(...sections: DeepPartial<Section>[]): Buffer {
    const value = Settings.fromPartial({ sections });
    const bytes = Resource.encode({ body: { $case: 'settings', value } }).finish();
    const hash = contentHash(bytes);
    if (!this.#resources.has(hash)) this.#add(EntryType.ENTRY_TYPE_SETTINGS, '', { $case: 'settings', value });
    return Buffer.from(hash, 'hex');
  }

  build(version: Version = { epoch: 1, index: 1 }): Candidate {
    const entries = [...this.#entries].sort((a, b) => a.type - b.type || compare(a.name, b.name) || Buffer.compare(a.hash, b.hash));
    return this.#assemble(entries, version);
  }

  /** With exactly these entries, for what is wrong. */
  buildWith(change: (entries: Entry[]) => Entry[], version: Version = { epoch: 1, index: 1 }): Candidate {
    const entries = [...this.#entries].sort((a, b) => a.type - b.type || compare(a.name, b.name) || Buffer.compare(a.hash, b.hash));
    return this.#assemble(change(entries), version);
  }

  #assemble(entries: readonly Entry[], version: Version): Candidate {
    const resources = new Map(this.#resources);
    const pages: Buffer[] = [];
    for (let at = 0; at < entries.length; at += this.#pageEntries) {
      const bytes = Resource.encode({ body: { $case: 'page', value: { entries: entries.slice(at, at + this.#pageEntries) } } }).finish();
      const hash = contentHash(bytes);
      resources.set(hash, bytes);
      pages.push(Buffer.from(hash, 'hex'));
    }
    const manifest = Manifest.encode({
      subjectKind: this.#subject.kind, subjectName: this.#subject.name, format: 1, pages, entryCount: entries.length,
    }).finish();
    return { subject: this.#subject, version, hash: contentHash(manifest), manifest, resources };
  }

  #add(type: EntryType, name: string, body: Resource['body']): this {
    const bytes = Resource.encode({ body }).finish();
    const hash = contentHash(bytes);
    this.#resources.set(hash, bytes);
    this.#entries.push({ type, name, hash: Buffer.from(hash, 'hex') });
    return this;
  }
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
