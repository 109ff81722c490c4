import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{proto,libs,control-plane,sidecar,test}/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'test/e2e/**', 'test/sim/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 10_000,
    hookTimeout: 20_000,
    retry: 0,
    passWithNoTests: false,
  },
});
