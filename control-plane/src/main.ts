import { runControlPlane } from './bootstrap.ts';

export { runControlPlane };

/** The process `control-plane`: `remora control-plane` starts the same. */
if (import.meta.main) process.exitCode = await runControlPlane(process.argv.slice(2), process.env);
