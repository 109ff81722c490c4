import { homedir } from 'node:os';
import path from 'node:path';

/** Where `test/conformance/tools/install.sh` puts the programs that it builds. */
export const toolsFolder = process.env['REMORA_TOOLS'] ?? path.join(process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache'), 'remora');
