/**
 * `npm run bundle`: control plane, sidecar and command line in `dist/`. They run with Node and nothing else. Control plane and command line are one file each; the
 * sidecar has files beside its own, which all have to be copied: what it does not use takes no memory there.
 */
import { createHash } from 'node:crypto';
import { globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { builtinModules } from 'node:module';
import { deflateRawSync } from 'node:zlib';
import { build, type BuildOptions, type BuildResult, type Plugin } from 'esbuild';

const root = path.resolve(import.meta.dirname, '..');
const dist = path.join(root, 'dist');

interface Target {
  readonly name: string;
  /** The program, as its main file starts it. */
  readonly start: string;
  /** Files beside it have what it does not always need. */
  readonly inFiles?: boolean;
}

const targets: readonly Target[] = [
  { name: 'remora-control-plane', start: `import { runControlPlane } from './control-plane/src/bootstrap.ts'; process.exitCode = await runControlPlane(process.argv.slice(2), process.env);` },
  { name: 'remora-sidecar', start: `import { runSidecar } from './sidecar/src/bootstrap.ts'; process.exitCode = await runSidecar(process.argv.slice(2), process.env);`, inFiles: true },
  { name: 'remora', start: `import { runCommandLine } from './libs/cli/program.ts'; await runCommandLine(process.argv.slice(2), process.env);` },
];

/** The program of data threads, a bundle of its own. */
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

/** Modules must not start themselves when they are inside a bundle; data threads start from their bundle. */
const oneFile: Plugin = {
  name: 'one-file',
  setup(context) {
    context.onLoad({ filter: /\.ts$/ }, ({ path: file }) => {
      if (file.includes('node_modules')) return null;
      if (file.endsWith('/docs-assets.ts')) return { contents: docsAssets(), loader: 'ts' };
      const contents = readFileSync(file, 'utf8').replaceAll('import.meta.main', 'false');
      return { contents: contents.includes(startOfWorker) ? `import { dataThread, isText } from '${workerProgram}';\n${contents.replace(startOfWorker, 'new Worker(dataThread(), { eval: isText,')}` : contents, loader: 'ts' };
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
 * What a plain sidecar never uses, by the name of a part: its packages are a program in a file of its own, which is read when the first of them is asked for. undici
 * comes with the first request to somebody outside, OpenTelemetry where spans are exported, prom-client with the first question for metrics, ioredis where limits are
 * shared by the fleet, re2js with the first regular expression. In the main program they would be 1.5 MB of text that stay in memory for as long as it runs.
 */
const parts: ReadonlyMap<string, readonly string[]> = new Map([
  ['undici', ['undici']],
  ['metrics', ['prom-client']],
  ['opentelemetry', ['api', 'exporter-metrics-otlp-http', 'exporter-trace-otlp-http', 'resources', 'sdk-metrics', 'sdk-trace'].map((name) => `@opentelemetry/${name}`)],
  ['redis', ['ioredis']],
  ['regex', ['re2js']],
]);

/** Imported from the start on by who may need it, and loaded with its first use: 2 MB in each thread. Whoever decodes a snapshot with a regular expression compiles it. */
const loadedByUse: ReadonlyMap<string, string> = new Map([['re2js', 'RE2JS']]);

const common: BuildOptions = {
  external: neverUsed, bundle: true, platform: 'node', target: 'node26', minifySyntax: true, minifyWhitespace: true, legalComments: 'none', logLevel: 'warning',
};

/** The files of a program that lie beside its own. Their names say what is in them: those of two builds are never mixed. */
class Files {
  readonly names: string[] = [];
  readonly #program: string;

  constructor(program: string) {
    this.#program = program;
    for (const old of globSync(path.join(dist, `${program}-*.cjs`))) rmSync(old);
  }

  /** Answers the name. */
  write(part: string, text: Uint8Array): string {
    const name = `${this.#program}-${part}.${createHash('sha256').update(text).digest('hex').slice(0, 8)}.cjs`;
    if (!this.names.includes(name)) {
      writeFileSync(path.join(dist, name), text);
      this.names.push(name);
    }
    return name;
  }

  /** In a program: all of them are there, or it does not start. */
  get check(): string {
    return `{
  const missing = ${JSON.stringify(this.names)}.filter((name) => !process.getBuiltinModule('fs').existsSync(new URL(name, import.meta.url)));
  if (missing.length > 0) {
    process.stderr.write(\`\${missing.join(', ')}: missing beside \${import.meta.filename}\\n\`);
    process.exit(${missingFile});
  }
}`;
  }
}

/** After sysexits. */
const missingFile = 72;

/** Asks for `parts` in files. */
function inParts(files: Files): Plugin {
  return {
    name: 'in-parts',
    setup(context) {
      for (const [part, packages] of parts) {
        context.onResolve({ filter: new RegExp(`^(?:${packages.join('|')})$`) }, ({ path: name }) => ({ path: name, namespace: 'in-part', pluginData: part }));
      }
      context.onLoad({ filter: /.*/, namespace: 'in-part' }, ({ path: name, pluginData: part }: { readonly path: string; readonly pluginData: string }) => {
        const loaded = `require('part:${part}')['${name}']`;
        const used = loadedByUse.get(name);
        const contents = used === undefined ? `module.exports = ${loaded};` : `export const ${used} = new Proxy({}, { get: (none, property) => Reflect.get(${loaded}.${used}, property) });`;
        return { contents, loader: 'js' };
      });
      context.onResolve({ filter: /^part:/ }, ({ path: part }) => ({ path: part.slice('part:'.length), namespace: 'part' }));
      context.onLoad({ filter: /.*/, namespace: 'part' }, async ({ path: part }) => {
        const name = files.write(part, await buildPart(part));
        return { contents: `module.exports = process.getBuiltinModule('module').createRequire(__here)('./${name}');`, loader: 'js' };
      });
    },
  };
}

async function buildPart(part: string): Promise<Uint8Array> {
  const contents = `module.exports = { ${(parts.get(part) ?? []).map((name) => `'${name}': require('${name}')`).join(', ')} };`;
  return textOf(await build({ ...common, stdin: { contents, resolveDir: path.join(root, 'sidecar') }, write: false, format: 'cjs', plugins: [lazyBuiltins] }));
}

function textOf({ outputFiles: [file] }: BuildResult<{ write: false }>): Uint8Array {
  if (file === undefined) throw new Error('nothing was built');
  return file.contents;
}

/**
 * Everything that runs for each request, without dynamic imports: a module that is imported dynamically somewhere is wrapped in a function, its constants
 * become variables that are written once, and the optimising compiler treats them as such. That cost a tenth of a request.
 */
async function buildDataThread(plugins: readonly Plugin[]): Promise<Uint8Array> {
  return textOf(await build({
    ...common, entryPoints: [path.join(root, workerFile)], write: false, format: 'cjs', banner: { js: 'const __here = __filename;' }, plugins: [...plugins, lazyBuiltins, oneFile],
  }));
}

/** What data threads are started with. */
function dataThreadIs(contents: string): Plugin {
  return {
    name: 'data-thread-program',
    setup(context) {
      context.onResolve({ filter: new RegExp(`^${workerProgram}$`) }, ({ path: name }) => ({ path: name, namespace: 'data-thread' }));
      context.onLoad({ filter: /.*/, namespace: 'data-thread' }, () => ({ contents, loader: 'js' }));
    },
  };
}

/** Compressed: as plain text it would stay in memory twice, in the source of the main program and as a constant of it. */
function dataThreadInside(text: Uint8Array): Plugin {
  return dataThreadIs(`import { inflateRawSync } from 'node:zlib';
export const isText = true;
export function dataThread() { return inflateRawSync(Buffer.from('${deflateRawSync(text, { level: 9 }).toString('base64')}', 'base64')).toString(); }`);
}

function dataThreadBeside(name: string): Plugin {
  return dataThreadIs(`export const isText = false;
export function dataThread() { return new URL('./${name}', import.meta.url); }`);
}

async function buildTarget(target: Target): Promise<void> {
  const outfile = path.join(dist, `${target.name}.mjs`);
  rmSync(outfile, { force: true });
  const files = target.inFiles === true ? new Files(target.name) : null;
  const parted = files === null ? [] : [inParts(files)];
  const thread = await buildDataThread(parted);
  const dataThread = files === null ? dataThreadInside(thread) : dataThreadBeside(files.write('data-thread', thread));
  const built = await build({
    ...common, format: 'esm', write: false,
    stdin: { contents: target.start, resolveDir: root, sourcefile: `${target.name}.ts`, loader: 'ts' },
    plugins: [...parted, lazyBuiltins, dataThread, oneFile],
  });
  // CommonJS packages ask for built-in modules by require.
  const banner = `import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url); const __here = import.meta.url;`;
  writeFileSync(outfile, [banner, ...(files === null ? [] : [files.check]), Buffer.from(textOf(built)).toString()].join('\n'));
  for (const file of [outfile, ...(files?.names ?? []).map((name) => path.join(dist, name))]) process.stdout.write(`${path.relative(root, file)} ${(statSync(file).size / 1e6).toFixed(2)} MB\n`);
}

mkdirSync(dist, { recursive: true });
for (const target of targets) await buildTarget(target);
