/**
 * One gateway from static bytes, without a control plane: for measurements and profiles of the data path alone.
 *
 *     taskset -c 1 node test/bench/bench-proxy.ts 10080 9001 [--workers 1] [--bare] [--spans 1]
 *
 * Routes /api/users to 127.0.0.1:BACKEND. With the default policies of a gateway; --bare leaves all of them out. --spans records that share
 * of the requests as spans, which are read and thrown away. Ends with SIGTERM.
 */
import { parseArgs } from 'node:util';
import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { LocalDataPlane } from '@remora/sidecar/threads/local-data-plane';
import { WorkerDataPlane } from '@remora/sidecar/threads/worker-data-plane';
import { runtimeKinds } from '@remora/sidecar/kinds';
import { defaultSections } from './default-sections.ts';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { workers: { type: 'string', default: '1' }, bare: { type: 'boolean', default: false }, local: { type: 'boolean', default: false }, spans: { type: 'string' } } });
const port = Number(positionals[0] ?? 10_080);
const backend = Number(positionals[1] ?? 9001);
const subject = { kind: 'gateway', name: 'edge' } as const;
const builder = new CandidateBuilder(subject).fleet();
const provider = values.bare ? Buffer.alloc(0) : builder.settings(...(await defaultSections('provider')));
const caller = values.bare ? Buffer.alloc(0) : builder.settings(...(await defaultSections('caller')));
const candidate = builder
  .listener({ name: 'plain', port, settings: provider })
  .destination({ service: 'users', ports: [{ name: 'http', port: backend, protocol: 'http' }], settings: caller })
  .route({
    name: 'users', match: { path: { kind: { $case: 'prefix', value: '/api/users' } } }, settings: provider,
    action: { $case: 'forward', value: { targets: [{ service: 'users', weight: 1 }] } },
  })
  .build();
const spans = values.spans === undefined ? {} : { spans: { ratio: Number(values.spans) } };
const plane = values.local
  ? new LocalDataPlane({ nodeId: 'bench', kinds: runtimeKinds, ...spans })
  : await WorkerDataPlane.start({ workers: Number(values.workers), subject, withoutKinds: [], ...spans });
if (values.spans !== undefined) setInterval(() => plane.takeSpans(100_000), 20).unref();
const set = EndpointSet.fromPartial({ service: 'users', endpoints: [{ id: 'backend', weight: 1, ports: [{ name: 'http', host: '127.0.0.1', port: backend }] }] });
await plane.applyEndpoints({ full: true, removed: [], sets: [EndpointSet.encode(set).finish()] });
const prepared = await plane.prepare(candidate);
if (!prepared.ok) throw new Error(JSON.stringify(prepared.errors, null, 2));
await plane.swap(candidate.hash, candidate.version);
await plane.listen([{ name: 'gateway/plain', side: 'gateway', host: '127.0.0.1', port, portName: 'plain' }]);
process.on('SIGTERM', () => {
  void plane.close().then(() => process.exit(0));
});
console.log(`gateway on 127.0.0.1:${port}, backend 127.0.0.1:${backend}`);
