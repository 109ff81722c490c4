import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { addToOrder, addToRegistry, controlPlaneParts, sidecarParts, sidecarWireParts } from './registry-edits.ts';
import { fillSkeleton, newKind, skeletonFiles, type NewKind } from './skeleton-files.ts';

/**
 * `npm run new:policy NAME [-- --side caller]`: writes the folder of a new policy kind, generates its message, and puts it
 * into the order and the registries. What comes out builds, and passes the contract of all kinds.
 */
const { values, positionals } = parseArgs({ allowPositionals: true, options: { side: { type: 'string', default: 'provider' }, root: { type: 'string' } } });
const root = values.root ?? path.resolve(import.meta.dirname, '../../..');
const kind = readArguments();
const folder = path.join(root, 'libs/policies', kind.folder);

if (existsSync(folder)) fail(`libs/policies/${kind.folder} is there already`);
const order = edited('libs/policy-kit/order.ts', (text) => addToOrder(text, kind));
const controlPlane = edited('control-plane/src/kinds.ts', (text) => addToRegistry(text, kind, controlPlaneParts));
const sidecar = edited('sidecar/src/kinds.ts', (text) => addToRegistry(text, kind, sidecarParts));
const sidecarWire = edited('sidecar/src/wire-kinds.ts', (text) => addToRegistry(text, kind, sidecarWireParts));
writeFolder();
generateMessage();
for (const { file, text } of [order, controlPlane, sidecar, sidecarWire, dependent('control-plane'), dependent('sidecar')]) writeFileSync(path.join(root, file), text);
linkWorkspace();
console.log([
  `libs/policies/${kind.folder}: a ${kind.side}-side kind ${kind.kind} that marks messages with headers; make it what it is to be.`,
  `Say in libs/policy-kit/order.ts why it stands where it does, then:`,
  `  npm install                                   # records the workspace in package-lock.json`,
  `  npx vitest run libs/policies/${kind.folder} libs/testing`,
].join('\n'));

function readArguments(): NewKind {
  const { side } = values;
  const [name, ...rest] = positionals;
  if (name === undefined || rest.length > 0 || (side !== 'provider' && side !== 'caller')) fail('usage: npm run new:policy NAME [-- --side provider|caller]');
  return newKind(name, side) ?? fail(`${name} is not a name such as cacheKey or cache-key`);
}

function edited(file: string, edit: (text: string) => string): { file: string; text: string } {
  try {
    return { file, text: edit(readFileSync(path.join(root, file), 'utf8')) };
  } catch (error) {
    return fail(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function writeFolder(): void {
  const { dependencies } = readJson('libs/policy-kit/package.json');
  const versions = { protobuf: dependencies['@bufbuild/protobuf'] ?? '', zod: dependencies['zod'] ?? '' };
  for (const { from, to } of skeletonFiles(kind)) {
    const target = path.join(folder, to);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, fillSkeleton(readFileSync(path.join(import.meta.dirname, 'skeleton', from), 'utf8'), kind, versions));
  }
}

/** As `npm run gen` does for every kind. */
function generateMessage(): void {
  const options = /^opts="(.+)"$/m.exec(readFileSync(path.join(root, 'proto/generate.sh'), 'utf8'))?.[1] ?? fail('proto/generate.sh names no options');
  const bin = path.join(root, 'node_modules/.bin');
  mkdirSync(path.join(folder, 'gen'));
  execFileSync(path.join(bin, 'protoc'), [
    `--plugin=${path.join(bin, 'protoc-gen-ts_proto')}`, `--ts_proto_out=${path.join(folder, 'gen')}`, `--ts_proto_opt=${options},outputServices=false`, '-I', folder, `${kind.folder}.proto`,
  ], { cwd: root, stdio: 'inherit', env: { ...process.env, PATH: `${bin}${path.delimiter}${process.env['PATH'] ?? ''}` } });
}

function dependent(workspace: string): { file: string; text: string } {
  const file = `${workspace}/package.json`;
  const manifest = readJson(file);
  const dependencies = { ...manifest.dependencies, [`@remora/policy-${kind.folder}`]: '0.1.0' };
  const sorted = Object.fromEntries(Object.entries(dependencies).sort(([a], [b]) => (a < b ? -1 : 1)));
  return { file, text: `${JSON.stringify({ ...manifest, dependencies: sorted }, null, 2)}\n` };
}

/** What npm install would link, so that the kind can be tried at once. */
function linkWorkspace(): void {
  const link = path.join(root, 'node_modules/@remora', `policy-${kind.folder}`);
  if (!existsSync(link)) symlinkSync(path.join('../../libs/policies', kind.folder), link);
}

function readJson(file: string): { readonly dependencies: Readonly<Record<string, string>> } {
  return JSON.parse(readFileSync(path.join(root, file), 'utf8')) as { dependencies: Record<string, string> };
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}
