import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { programPath } from '@remora/testing/requirement';
import { toolsFolder } from '@remora/testing/tools-folder';

/** Programs beside Remora that conformance and fuzzing run. All but nginx and HAProxy are built and installed by `tools/install.sh`. */
export type ToolName = 'h2spec' | 'h2specd' | 'connectconformance' | 'referenceclient' | 'referenceserver' | 'go-witness' | 'h11-witness' | 'nginx' | 'haproxy';

/** The file that must be there for the tool to run; null where it is not. */
export function toolPath(name: ToolName): string | null {
  switch (name) {
    case 'nginx':
    case 'haproxy':
      return programPath(name);
    case 'go-witness':
      return usable(path.join(toolsFolder, 'bin/witness'), constants.X_OK);
    case 'h11-witness':
      return usable(path.join(toolsFolder, 'python/h11/__init__.py'), constants.R_OK) && path.join(import.meta.dirname, 'tools/witness/h11_witness.py');
    case 'h2spec':
    case 'h2specd':
    case 'connectconformance':
    case 'referenceclient':
    case 'referenceserver':
      return usable(path.join(toolsFolder, 'bin', name), constants.X_OK);
  }
}

/** As `toolPath`, for a tool that was looked for before. */
export function requireTool(name: ToolName): string {
  const found = toolPath(name);
  if (found === null) throw new Error(`${name} is not installed: ${howToInstall(name)}`);
  return found;
}

export function howToInstall(name: ToolName): string {
  return name === 'nginx' || name === 'haproxy' ? `apt-get install ${name}` : 'bash test/conformance/tools/install.sh';
}

function usable(file: string, mode: number): string | null {
  try {
    accessSync(file, mode);
    return file;
  } catch {
    return null;
  }
}
