import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { toolsFolder } from '@remora/testing/tools-folder';
import { requireTool } from '../../conformance/tools.ts';
import type { Account, ReadRequest, Witness } from './account.ts';

interface Line {
  readonly id: number;
  readonly messages: readonly (Omit<ReadRequest, 'headers' | 'trailers'> & { readonly headers: [string, string][]; readonly trailers: [string, string][]; readonly broken?: string })[];
  readonly refusals: readonly string[];
}

/** A parser in a process of its own, which answers each line with a line; see `test/conformance/tools/witness`. */
export class ProcessWitness implements Witness {
  readonly name: string;
  readonly silentOn: ReadonlySet<string> = new Set();
  readonly wholeOnly = false;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting: { readonly resolve: (line: Line) => void; readonly reject: (error: Error) => void }[] = [];
  /** Says of a refusal whether it only means that the input ended within a message. */
  readonly #isEnd: (refusal: string) => boolean;
  #ended = '';

  private constructor(name: string, command: readonly string[], env: Readonly<Record<string, string>>, isEnd: (refusal: string) => boolean) {
    this.name = name;
    this.#isEnd = isEnd;
    this.#child = spawn(command[0] ?? '', command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...env } });
    createInterface({ input: this.#child.stdout }).on('line', (text) => this.#waiting.shift()?.resolve(JSON.parse(text) as Line));
    // Its end is told by `exit`.
    this.#child.stdin.on('error', () => {});
    this.#child.once('exit', (code, signal) => {
      this.#ended = `${name} ended with ${signal ?? code}`;
      for (const { reject } of this.#waiting.splice(0)) reject(new Error(this.#ended));
    });
  }

  /** Go's net/http server. Input that ends within a head is a 400 to it, as any other fault: what is complete before it counts. */
  static go(): ProcessWitness {
    return new ProcessWitness('Go net/http', [requireTool('go-witness')], {}, () => false);
  }

  static h11(): ProcessWitness {
    return new ProcessWitness('Python h11', ['python3', requireTool('h11-witness')], { PYTHONPATH: `${toolsFolder}/python` }, (refusal) => refusal.includes('unexpectedly closed') || refusal.includes('incomplete'));
  }

  mayRefuse(): boolean {
    return false;
  }

  async read(streams: readonly Uint8Array[]): Promise<readonly Account[]> {
    return Promise.all(streams.map(async (bytes, id) => {
      const line = await this.#ask(id, bytes);
      const complaint = line.refusals.find((refusal) => !this.#isEnd(refusal)) ?? '';
      const requests = line.messages.filter(({ broken = '' }) => broken === '').map(({ method, target, headers, body, trailers }) =>
        ({ method, target, headers, trailers, body: Buffer.from(body, 'base64').toString('latin1') }));
      return { requests, complaint };
    }));
  }

  #ask(id: number, bytes: Uint8Array): Promise<Line> {
    if (this.#ended !== '') return Promise.reject(new Error(this.#ended));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin.write(`${JSON.stringify({ id, bytes: Buffer.from(bytes).toString('base64') })}\n`);
    });
  }

  async close(): Promise<void> {
    if (this.#ended !== '') return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin.end();
    await ended;
  }
}
