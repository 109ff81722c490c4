import { contentHash } from '@remora/core/hash';
import type { Subject } from '@remora/core/subject';
import type { Version } from '@remora/core/version';
import type { Applied, Build, Hello } from '@remora/proto/gen/remora/push/v1/push';
import { fromWireVersion, safeNumber } from './encoded-messages.ts';

/** What Hello says about a sidecar, checked and bounded. */
export interface SidecarFacts {
  readonly nodeId: string;
  readonly incarnation: number;
  readonly subject: Subject;
  readonly ports: readonly { readonly name: string; readonly host: string; readonly port: number; readonly plaintext?: true }[];
  readonly labels: Readonly<Record<string, string>>;
  readonly locality: string;
  readonly protocols: readonly string[];
  readonly mtls: boolean;
  readonly build: BuildFacts;
  readonly config: AppliedFacts;
  readonly state: AppliedFacts;
  readonly refusedHashes: readonly string[];
}

export interface BuildFacts {
  readonly id: string;
  readonly version: string;
  readonly format: number;
  readonly kinds: Readonly<Record<string, number>>;
}

export interface AppliedFacts {
  readonly version: Version;
  /** '' for nothing. */
  readonly hash: string;
  readonly persisted: boolean;
}

const portsMax = 64;
const labelsMax = 64;
const kindsMax = 256;
const textMax = 253;
const refusedHashesMax = 256;

/** The facts, or one sentence that names the field that cannot be used. */
export function readHello(hello: Hello): SidecarFacts | string {
  const problem = problemOf(hello);
  if (problem !== null) return problem;
  const build = readBuild(hello.build);
  if (typeof build === 'string') return build;
  return {
    nodeId: hello.nodeId,
    incarnation: safeNumber(hello.incarnation),
    subject: { kind: hello.subjectKind === 'gateway' ? 'gateway' : 'service', name: hello.subjectName },
    ports: hello.advertised.map(({ name, host, port, plaintext }) => ({ name, host, port, ...(plaintext === true && { plaintext }) })),
    labels: recordOf(hello.labels.map(({ key, value }) => [key, value])),
    locality: hello.locality,
    protocols: hello.protocols,
    mtls: hello.mtls,
    build,
    config: readApplied(hello.config),
    state: readApplied(hello.state),
    refusedHashes: hello.refusedHashes.filter((hash) => hash.length === 32).map((hash) => hash.toString('hex')),
  };
}

export function readApplied(applied: Applied | undefined): AppliedFacts {
  const hash = applied?.hash.length === 32 ? applied.hash.toString('hex') : '';
  return { version: fromWireVersion(applied?.version), hash, persisted: applied?.persisted ?? false };
}

function problemOf(hello: Hello): string | null {
  if (!/^[A-Za-z0-9._:-]{1,253}$/.test(hello.nodeId)) return 'node_id: 1 to 253 characters of A-Z a-z 0-9 . _ : - are expected';
  if (hello.subjectKind !== 'service' && hello.subjectKind !== 'gateway') return 'subject_kind: service or gateway is expected';
  if (!isText(hello.subjectName) || hello.subjectName === '') return 'subject_name: 1 to 253 characters are expected';
  if (hello.advertised.length > portsMax) return `advertised: at most ${portsMax} ports are expected`;
  const port = hello.advertised.find(({ name, host, port }) => !isText(name) || !isText(host) || host === '' || port < 1 || port > 65_535);
  if (port) return `advertised: port "${port.name.slice(0, 64)}" has no usable host and port`;
  if (hello.labels.length > labelsMax) return `labels: at most ${labelsMax} are expected`;
  if (hello.labels.some(({ key, value }) => !isText(key) || key === '' || !isText(value))) return 'labels: keys and values have at most 253 characters';
  if (!isText(hello.locality)) return 'locality: at most 253 characters are expected';
  if (hello.protocols.length > 16 || !hello.protocols.every(isText)) return 'protocols: at most 16 are expected';
  if (hello.refusedHashes.length > refusedHashesMax) return `refused_hashes: at most ${refusedHashesMax} are expected`;
  return null;
}

function readBuild(build: Build | undefined): BuildFacts | string {
  if (!build) return 'build: is missing';
  if (!isText(build.version)) return 'build.version: at most 253 characters are expected';
  if (build.kinds.length > kindsMax || build.kinds.some(({ kind }) => !isText(kind))) return `build.kinds: at most ${kindsMax} are expected`;
  const kinds = recordOf(build.kinds.map(({ kind, format }) => [kind, format]));
  // A sidecar that sends no id is still told apart by what it says it knows.
  const id = build.id.length === 32 ? build.id.toString('hex') : contentHash(JSON.stringify([build.version, build.format, kinds]));
  return { id, version: build.version, format: build.format, kinds };
}

function isText(text: string): boolean {
  return text.length <= textMax;
}

/** Without a prototype: keys are input. */
function recordOf<V>(entries: readonly (readonly [string, V])[]): Readonly<Record<string, V>> {
  const record = Object.create(null) as Record<string, V>;
  for (const [key, value] of entries) record[key] = value;
  return record;
}
