import path from 'node:path';
import { defineConfig } from 'vitest/config';

/** Tests of the repository as a whole, of real processes over real sockets, and of the simulator. */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'deploy/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    pool: 'forks',
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    retry: 0,
    globalSetup: [path.join(import.meta.dirname, 'libs/testing/run-folder.ts')],
    // A busy machine is slow, not wrong.
    setupFiles: [path.join(import.meta.dirname, 'libs/testing/patience.ts')],
    expect: { poll: { timeout: 30_000, interval: 20 } },
    passWithNoTests: false,
  },
});
