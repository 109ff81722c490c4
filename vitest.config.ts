import path from 'node:path';
import { defineConfig } from 'vitest/config';

/** Tests beside the code. What needs the whole repository or real processes is in `vitest.whole.config.ts`. */
export default defineConfig({
  test: {
    include: ['{proto,libs,control-plane,sidecar}/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    retry: 0,
    globalSetup: [path.join(import.meta.dirname, 'libs/testing/run-folder.ts')],
    // A busy machine is slow, not wrong.
    setupFiles: [path.join(import.meta.dirname, 'libs/testing/patience.ts')],
    expect: { poll: { timeout: 30_000, interval: 20 } },
    passWithNoTests: false,
  },
});
