/** `npm run bundle`: one file each for control plane, sidecar and command line in `dist/`. They run with Node and nothing else. */
import { readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { builtinModules } from 'node:module';
import { deflateRawSync } from 'node:zlib';
import { build, type BuildOptions, type Plugin } from 'esbuild';

const root = path.resolve(import.meta.dirname, '..');

interface Target {
  readonly name: string;
  /** The program, as its main file starts it. */
  readonly start: string;
  /** How much memory it takes at rest counts. */
  readonly small?: boolean;
}

const targets: readonly Target[] = [
  { name: 'remora-control-plane', start: `import { runControlPlane } from './control-plane/src/bootstrap.ts'; process.exitCode = await runControlPlane(process.argv.slice(2), process.env);` },
  { name: 'remora-sidecar', start: `import { runSidecar } from './sidecar/src/bootstrap.ts'; process.exitCode = await runSidecar(process.argv.slice(2), process.env);`, small: true },
  { name: 'remora', start: `import { runCommandLine } from './libs/cli/program.ts'; await runCommandLine(process.argv.slice(2), process.env);` },
];

/** The program of data threads, a bundle of its own inside those that start them. */
const workerFile = 'sidecar/src/threads/data-worker.ts';
const workerProgram = 'remora:data-thread';

/** The files of the API page, inside the bundle. */
function docsAssets(): string {
  const folder = path.join(root, 'node_modules/swagger-ui-dist');
  const files = Object.fromEntries(['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png'].map((file) => [file, readFileSync(path.join(folder, file), 'base64')]));
  return `const files: Readonly<Record<string, string>> = ${JSON.stringify(files)};
export async function readDocsAsset(file: string): Promise<Buffer> {
  const content = files[file];
  if (content === undefined) throw new Error('not in this bundle');
  return Buffer.from(content, 'base64');
}`;
}

const startOfWorker = "new Worker(new URL('./data-worker.ts', import.meta.url), {";

/** Modules must not start themselves when they are inside a bundle; data threads start from the text of their program. */
const oneFile: Plugin = {
  name: 'one-file',
  setup(context) {
    context.onLoad({ filter: /\.ts$/ }, ({ path: file }) => {
      if (file.includes('node_modules')) return null;
      if (file.endsWith('/docs-assets.ts')) return { contents: docsAssets(), loader: 'ts' };
      const contents = readFileSync(file, 'utf8').replaceAll('import.meta.main', 'false');
      return { contents: contents.includes(startOfWorker) ? `import dataThread from '${workerProgram}';\n${contents.replace(startOfWorker, 'new Worker(dataThread(), { eval: true,')}` : contents, loader: 'ts' };
    });
  },
};

const builtins = new Set(builtinModules.flatMap((name) => [name, `node:${name}`]));

/**
 * Built-in modules are taken when the code that uses them runs. Imports of the bundle itself would all be evaluated at the
 * start, in every thread, with every export read: `node:http` alone then loads undici for its WebSocket (16 MB).
 */
const lazyBuiltins: Plugin = {
  name: 'lazy-builtins',
  setup(context) {
    context.onResolve({ filter: /^(?:node:)?[a-z_]+(?:\/[a-z_]+)?$/ }, ({ path: name, kind }) =>
      (kind === 'import-statement' && builtins.has(name) ? { path: name, namespace: 'lazy-builtins' } : null));
    context.onLoad({ filter: /.*/, namespace: 'lazy-builtins' }, ({ path: name }) =>
      ({ contents: `module.exports = process.getBuiltinModule(${JSON.stringify(name)});`, loader: 'js' }));
  },
};

/** Asked for by functions of grpc-js that nobody calls here (channelz, ORCA): 200 KB of text that stays in memory. */
const neverUsed = ['@grpc/proto-loader'];

/**
 * Packages that a plain sidecar never uses. They are inside the bundle as compressed text, which costs memory and time where it is used: undici with the first
 * request to somebody outside (it is imported dynamically), re2js with the first regular expression of a snapshot, while that is decoded.
 */
const packedAs: ReadonlyMap<string, string> = new Map([
  ['undici', 'module.exports = unpack();'],
  ['re2js', `let loaded = null;
export const RE2JS = new Proxy({}, { get: (none, name) => Reflect.get((loaded ??= unpack()).RE2JS, name) });`],
]);

const packed: Plugin = {
  name: 'packed',
  setup(context) {
    context.onResolve({ filter: new RegExp(`^(?:${[...packedAs.keys()].join('|')})$`) }, ({ path: name }) => ({ path: name, namespace: 'packed' }));
    context.onLoad({ filter: /.*/, namespace: 'packed' }, async ({ path: name }) => {
      const stdin = { contents: `module.exports = require('${name}');`, resolveDir: root };
      const { outputFiles } = await build({ ...common, stdin, write: false, format: 'cjs', plugins: [lazyBuiltins] });
      const contents = `function unpack() {
  const module = { exports: {} };
  const text = process.getBuiltinModule('zlib').inflateRawSync(Buffer.from('${pack(outputFiles[0]?.contents)}', 'base64')).toString();
  process.getBuiltinModule('vm').compileFunction(text, ['module', 'exports', 'require'], { filename: 'remora:${name}' })(module, module.exports, process.getBuiltinModule);
  return module.exports;
}
${packedAs.get(name) ?? ''}`;
      return { contents, loader: 'js' };
    });
  },
};

function pack(contents: Uint8Array | undefined): string {
  if (contents === undefined) throw new Error('nothing was built');
  return deflateRawSync(contents, { level: 9 }).toString('base64');
}

const common: BuildOptions = {
  external: neverUsed, bundle: true, platform: 'node', target: 'node26', minifySyntax: true, minifyWhitespace: true, legalComments: 'none', logLevel: 'warning',
};

/**
 * Everything that runs for each request, without dynamic imports: a module that is imported dynamically somewhere is wrapped in a function, its constants
 * become variables that are written once, and the optimising compiler treats them as such. That cost a tenth of a request.
 */
const dataThread = await build({ ...common, entryPoints: [path.join(root, workerFile)], write: false, format: 'cjs', plugins: [packed, lazyBuiltins, oneFile] });

const dataThreadProgram: Plugin = {
  name: 'data-thread-program',
  setup(context) {
    context.onResolve({ filter: new RegExp(`^${workerProgram}$`) }, ({ path: name }) => ({ path: name, namespace: 'data-thread' }));
    // Compressed: as plain text it would stay in memory twice, in the source of the main program and as a constant of it.
    context.onLoad({ filter: /.*/, namespace: 'data-thread' }, () => {
      const contents = `import { inflateRawSync } from 'node:zlib';
export default function dataThread() { return inflateRawSync(Buffer.from('${pack(dataThread.outputFiles[0]?.contents)}', 'base64')).toString(); }`;
      return { contents, loader: 'js' };
    });
  },
};

for (const target of targets) {
  const outfile = path.join(root, 'dist', `${target.name}.mjs`);
  rmSync(outfile, { force: true });
  await build({
    ...common, outfile, format: 'esm',
    stdin: { contents: target.start, resolveDir: root, sourcefile: `${target.name}.ts`, loader: 'ts' },
    // CommonJS packages ask for built-in modules by require.
    banner: { js: `import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);` },
    plugins: [...(target.small === true ? [packed] : []), lazyBuiltins, dataThreadProgram, oneFile],
  });
  process.stdout.write(`${path.relative(root, outfile)} ${(statSync(outfile).size / 1e6).toFixed(2)} MB\n`);
}
