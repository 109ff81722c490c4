import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { CorpusEntry } from './layer.ts';

const folder = path.join(import.meta.dirname, 'corpus');

/** Cases that failed once, oldest names first. */
export function readCorpus(layer: string): readonly CorpusEntry[] {
  return readdirSync(folder).filter((file) => file.endsWith('.json')).sort()
    .map((file) => JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as CorpusEntry).filter((entry) => entry.layer === layer);
}

/** Answers where it is kept. */
export function keepInCorpus(entry: CorpusEntry): string {
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, `${entry.layer}-${entry.name}.json`);
  writeFileSync(file, `${JSON.stringify(entry, null, 2)}\n`);
  return path.relative(process.cwd(), file);
}
