import { runSidecar } from './bootstrap.ts';

await runSidecar(process.argv.slice(2), process.env);
