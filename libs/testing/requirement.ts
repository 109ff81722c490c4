import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { toolsFolder } from './tools-folder.ts';

/** Outside programs that some tests need. The names are the commands looked for on PATH, and among those built for this repository. */
export type RequiredProgram = 'nginx' | 'haproxy' | 'envoy' | 'wrk' | 'h2load' | 'systemd-analyze' | 'kubernetes-validate' | 'docker' | 'bash' | 'promtool' | 'kc.sh' | 'consul' | 'openssl' | 'redis-server' | 'opa' | 'vault-in-memory';

export function programPath(program: RequiredProgram): string | null {
  for (const folder of (process.env['PATH'] ?? '').split(path.delimiter).concat('/usr/sbin', '/usr/local/sbin', path.join(toolsFolder, 'bin'))) {
    const candidate = path.join(folder, program);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // Not here; the next folder may have it.
    }
  }
  return null;
}

/**
 * A suite that needs a program. Where it is missing the suite is listed as not run, by name; with REMORA_REQUIRE_ALL=1 (CI)
 * that is a failure.
 */
export function describeWith(program: RequiredProgram, title: string, suite: (command: string) => void): void {
  const command = programPath(program);
  if (command !== null) {
    describe(title, () => {
      suite(command);
    });
    return;
  }
  if (process.env['REMORA_REQUIRE_ALL'] === '1') {
    test(`${title} needs ${program}`, () => expect.fail(`${program} is not installed`));
    return;
  }
  describe.skip(`[needs ${program}] ${title}`, () => {
    test('not run', () => expect.fail('skipped suites do not run'));
  });
}
