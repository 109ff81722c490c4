import { runCommandLine } from './program.ts';

/** The process `remora`: started by bin/remora, or by Node directly. */
await runCommandLine(process.argv.slice(2), process.env);
