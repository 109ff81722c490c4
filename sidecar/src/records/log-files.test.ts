import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WireError } from '@remora/policy-kit/runtime-kind';
import { LogFiles, logFilesMax } from './log-files.ts';
import { RotatingLogFile } from './rotating-log-file.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'remora-log-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function append(file: RotatingLogFile, lines: string): Promise<void> {
  return new Promise((resolve) => {
    file.append(Buffer.from(lines), resolve);
  });
}

const read = (name: string): string => readFileSync(path.join(folder, 'logs', name), 'utf8');

describe('a rotating log file', () => {
  test('rotates by size, keeps what it is told, and appends after a restart', async () => {
    const target = { name: 'a.log', rotateBytes: 10, keep: 2 };
    const file = new RotatingLogFile(path.join(folder, 'logs'), target);
    for (const line of ['1234\n', '5678\n', 'second\n1234\n', 'third 1234\n', 'new\n']) await append(file, line);
    expect(readdirSync(path.join(folder, 'logs')).sort()).toEqual(['a.log', 'a.log.1', 'a.log.2']);
    expect([read('a.log'), read('a.log.1'), read('a.log.2')]).toEqual(['new\n', 'third 1234\n', 'second\n1234\n']);
    file.close();
    const again = new RotatingLogFile(path.join(folder, 'logs'), target);
    await append(again, 'more 67\n');
    expect(read('a.log.1')).toBe('new\nmore 67\n');
  });

  test('with keep 0 begins anew', async () => {
    const file = new RotatingLogFile(path.join(folder, 'logs'), { name: 'a.log', rotateBytes: 4, keep: 0 });
    await append(file, '12345\n');
    await append(file, '6\n');
    expect([readdirSync(path.join(folder, 'logs')), read('a.log')]).toEqual([['a.log'], '6\n']);
  });

  test('counts what it cannot write, and goes on when the folder is there again', async () => {
    writeFileSync(path.join(folder, 'logs'), 'a file in the way');
    const file = new RotatingLogFile(path.join(folder, 'logs'), { name: 'a.log', rotateBytes: 100, keep: 1 });
    await append(file, 'lost\n');
    expect(file.failedWrites).toBe(1);
    rmSync(path.join(folder, 'logs'));
    await append(file, 'kept\n');
    expect(read('a.log')).toBe('kept\n');
  });
});

describe('log files', () => {
  test('one name is one file, and files are bounded', () => {
    const files = new LogFiles(folder, 0, () => {});
    const target = (name: string) => ({ name, rotateBytes: 100, keep: 1 });
    for (let i = 0; i < logFilesMax; i++) files.open(target(`${i}.log`));
    files.open(target('0.log'));
    expect(() => files.open(target('more.log'))).toThrow(WireError);
    expect(readdirSync(folder)).toEqual([]);
  });
});
