import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';

/** Compares text with a file kept in the repository. `npm run golden` writes what is new or has changed. */
export function expectGolden(file: string, actual: string): void {
  const text = actual.endsWith('\n') ? actual : `${actual}\n`;
  const known = existsSync(file) ? readFileSync(file, 'utf8') : null;
  if (known === text) return;
  if (process.env['UPDATE_GOLDEN'] === '1') {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
    return;
  }
  expect(text, `${path.basename(file)} differs from what is kept; if the change is meant: npm run golden`).toBe(known ?? '');
}

/** Values as JSON for golden files: sets and maps as lists, big integers and bytes as text, keys in their order. */
export function goldenJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (item instanceof Set) return [...item];
    if (item instanceof Map) return [...item];
    if (typeof item === 'bigint') return String(item);
    if (item instanceof Uint8Array) return Buffer.from(item).toString('hex');
    return item;
  }, 2);
}
