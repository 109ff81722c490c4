/** `npm run bundle`: one file each for control plane, sidecar and command line in `dist/`. They run with Node and nothing else. */
import { readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { builtinModules } from 'node:module';
import { build, type Plugin } from 'esbuild';

const root = path.resolve(import.meta.dirname, '..');

interface Target {
  readonly name: string;
  /** The program, as its main file starts it. */
  readonly start: string;
  /** Whether it starts data threads: the same file, entered again. */
  readonly workers: boolean;
}

const targets: readonly Target[] = [
  { name: 'remora-control-plane', start: `import { runControlPlane } from './control-plane/src/bootstrap.ts'; process.exitCode = await runControlPlane(process.argv.slice(2), process.env);`, workers: false },
  { name: 'remora-sidecar', start: `const { runSidecar } = await import('./sidecar/src/bootstrap.ts'); process.exitCode = await runSidecar(process.argv.slice(2), process.env);`, workers: true },
  { name: 'remora', start: `const { runCommandLine } = await import('./libs/cli/program.ts'); await runCommandLine(process.argv.slice(2), process.env);`, workers: true },
];

/** A data thread's program inside the bundle: the bundle itself, which looks at what it was started as. */
const workerFile = 'sidecar/src/threads/data-worker.ts';

function entryOf(target: Target): string {
  if (!target.workers) return target.start;
  return `import { isMainThread } from 'node:worker_threads';
if (!isMainThread) await import('./${workerFile}');
else { ${target.start} }`;
}

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

/** Modules must not start themselves when they are inside a bundle; data threads start the bundle. */
const oneFile: Plugin = {
  name: 'one-file',
  setup(context) {
    context.onLoad({ filter: /\.ts$/ }, ({ path: file }) => {
      if (file.includes('node_modules')) return null;
      if (file.endsWith('/docs-assets.ts')) return { contents: docsAssets(), loader: 'ts' };
      const contents = readFileSync(file, 'utf8')
        .replaceAll('import.meta.main', 'false')
        .replaceAll(/new URL\((['"])\.\/data-worker\.ts\1, ?import\.meta\.url\)/g, 'new URL(import.meta.url)');
      return { contents, loader: 'ts' };
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

/** Asked for by functions of grpc-js that nobody calls here (channelz, ORCA): 200 KB of text that each thread would keep. */
const neverUsed = ['@grpc/proto-loader'];

for (const target of targets) {
  const outfile = path.join(root, 'dist', `${target.name}.mjs`);
  rmSync(outfile, { force: true });
  await build({
    stdin: { contents: entryOf(target), resolveDir: root, sourcefile: `${target.name}.ts`, loader: 'ts' },
    outfile, bundle: true, platform: 'node', format: 'esm', target: 'node26', minifySyntax: true, minifyWhitespace: true, legalComments: 'none', logLevel: 'warning', external: neverUsed,
    // CommonJS packages ask for built-in modules by require.
    banner: { js: `import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);` },
    plugins: [lazyBuiltins, oneFile],
  });
  process.stdout.write(`${path.relative(root, outfile)} ${(statSync(outfile).size / 1e6).toFixed(2)} MB\n`);
}
