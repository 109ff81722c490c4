import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { DemoFailure } from './demo-failure.ts';

/** Who types the commands of the story: each has a token of their own at the API, and the history says who it was. */
export class People {
  readonly #folder: string;
  readonly #tokens = new Map<string, string>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  meet(name: string, token: string): void {
    this.#tokens.set(name, token);
    writeFileSync(this.fileOf(name), token, { mode: 0o600 });
  }

  tokenOf(name: string): string {
    const token = this.#tokens.get(name);
    if (token === undefined) throw new DemoFailure(`a token of ${name}`, `there are tokens of ${[...this.#tokens.keys()].join(', ')}`);
    return token;
  }

  /** Where the token is, for who wants to go on by hand. */
  fileOf(name: string): string {
    return path.join(this.#folder, `${name}.token`);
  }
}
