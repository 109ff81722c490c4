import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** A file of the browsable API page, from the installed swagger-ui-dist. In a bundle this module is replaced by one that holds the files. */
export async function readDocsAsset(file: string): Promise<Buffer> {
  const folder = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  return await readFile(join(folder, file));
}
