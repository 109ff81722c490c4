import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { startBackend, startEnvoy, startNginx } from '../../processes/peers.ts';
import { wrk } from '../../processes/load.ts';
import { nothingOn, startGateway } from './gateway.ts';
import { own, present } from './installed.ts';
import type { Load, Scenario, Stage } from './scenario.ts';

const kib = 1024;

function bodies(name: string, size: number, connections: number): Scenario {
  const text = size >= 1024 * kib ? `${size / kib / kib} MiB` : `${size / kib} KiB`;
  let script = '';
  return {
    name: `bodies-${name}`, what: `bodies of ${text}, downloads and uploads`, compares: 'bytesPerCpu',
    bars: [{ peer: 'nginx', max: 0.7 }],
    async start(stage) {
      script = prepareBodies(stage, size);
      const backend = await startBackend(stage.folder, stage.loadCore, 'nginx-bodies.conf');
      stage.own(backend.process);
      const limits = `${nothingOn}requestLimits: {bodyBytes: 64MiB}\n`;
      const probe = (port: number): Promise<boolean> => fetch(`http://127.0.0.1:${port}/api/upload/x`).then((response) => response.ok, () => false);
      return present([
        startGateway(stage, { backend: backend.port, documents: limits, probe }),
        startNginx(stage.folder, stage.proxyCore, backend.port, 'nginx-body-proxy.conf').then(own(stage, 'nginx')),
        startEnvoy(stage.folder, stage.proxyCore, backend.port).then(own(stage, 'envoy')),
      ]);
    },
    /** Half of the time each way. */
    async load({ port }, seconds, core): Promise<Load> {
      const url = `http://127.0.0.1:${port}/api`;
      const half = Math.max(1, Math.ceil(seconds / 2));
      const down = await wrk({ url: `${url}/download/body`, connections, seconds: half, core });
      const up = await wrk({ url: `${url}/upload/body`, connections, seconds: half, core, script });
      return {
        requests: down.requests + up.requests, perSecond: (down.perSecond + up.perSecond) / 2, p50Ms: (down.p50Ms + up.p50Ms) / 2,
        p99Ms: Math.max(down.p99Ms, up.p99Ms), errors: down.errors + up.errors, bytes: (down.requests + up.requests) * size,
      };
    },
  };
}

/** The file that downloads give, and the script that makes wrk send as much. */
function prepareBodies({ folder }: Stage, size: number): string {
  mkdirSync(path.join(folder, 'bodies'));
  writeFileSync(path.join(folder, 'bodies/body'), Buffer.alloc(size, 'remora '));
  const script = path.join(folder, 'upload.lua');
  writeFileSync(script, `wrk.method = "POST"\nwrk.body = string.rep("r", ${size})\nwrk.headers["Content-Type"] = "application/octet-stream"\n`);
  return script;
}

export const bodyScenarios: readonly Scenario[] = [bodies('64k', 64 * kib, 32), bodies('10m', 10 * 1024 * kib, 4)];
