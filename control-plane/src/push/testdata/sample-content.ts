import { contentHash } from '@remora/core/hash';
import { subjectKey, type Subject, type SubjectKey } from '@remora/core/subject';
import { EntryType, Manifest, Resource } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { Compilation, CompiledSubject } from '../../compile/compilation.ts';
import { noNeeds } from '../../compile/subject-needs.ts';

/** What a test says about one subject: resources by name, destinations. */
export interface SampleSubject {
  readonly resources: readonly string[];
  readonly destinations?: readonly string[];
}

const subjects = new Map<string, CompiledSubject>();

/** A compiled subject with real manifests and pages; equal samples are the same object. */
export function compileSample(subject: Subject, sample: SampleSubject): CompiledSubject {
  const key = JSON.stringify([subject, sample]);
  const known = subjects.get(key);
  if (known) return known;
  const resources = new Map<string, Uint8Array>();
  const entries: { type: EntryType; name: string; hash: Buffer }[] = [];
  const add = (type: EntryType, name: string, resource: Resource): void => {
    const bytes = Resource.encode(resource).finish();
    const hash = contentHash(bytes);
    resources.set(hash, bytes);
    entries.push({ type, name, hash: Buffer.from(hash, 'hex') });
  };
  for (const name of sample.resources) add(EntryType.ENTRY_TYPE_LISTENER, name, listener(name));
  for (const name of sample.destinations ?? []) add(EntryType.ENTRY_TYPE_DESTINATION, name, destination(name));
  const page = Resource.encode({ body: { $case: 'page', value: { entries } } }).finish();
  resources.set(contentHash(page), page);
  const manifest = Manifest.encode({ subjectKind: subject.kind, subjectName: subject.name, format: 1, pages: [Buffer.from(contentHash(page), 'hex')], entryCount: entries.length }).finish();
  const compiled = { subject, hash: contentHash(manifest), manifest, resources, destinations: [...(sample.destinations ?? [])].sort(), needs: noNeeds };
  subjects.set(key, compiled);
  return compiled;
}

/** `{'service/web': {resources: ['a'], destinations: ['orders']}}`. */
export function compileSamples(samples: Readonly<Record<SubjectKey, SampleSubject>>): Compilation {
  const compiled = new Map<SubjectKey, CompiledSubject>();
  for (const [key, sample] of Object.entries(samples)) {
    const [kind, name = ''] = key.split('/');
    const subject: Subject = { kind: kind === 'gateway' ? 'gateway' : 'service', name };
    compiled.set(subjectKey(subject), compileSample(subject, sample));
  }
  return { subjects: compiled };
}

function listener(name: string): Resource {
  return { body: { $case: 'listener', value: { name, port: 80, hosts: [], protocol: 'http', redirect: '', settings: Buffer.alloc(0), tls: undefined, pathRules: undefined, proxyProtocol: '' } } };
}

function destination(service: string): Resource {
  return { body: { $case: 'destination', value: { service, ports: [{ name: 'http', port: 80, protocol: 'http', tls: undefined, proxyProtocol: '' }], settings: Buffer.alloc(0), pathRules: undefined } } };
}
