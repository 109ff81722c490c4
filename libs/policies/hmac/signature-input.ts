/** One component that a signature covers: a field, or what is derived from the request. */
export interface Component {
  /** Lower case, without quotes. */
  readonly name: string;
  /** Of `@query-param` and of members of dictionaries (`key`); '' without. */
  readonly argument: string;
  /** As it stands in the signature base: `"@query-param";name="Pet"`. */
  readonly text: string;
}

/** What a signature says of itself (RFC 9421 section 2.3). */
export interface SignatureInput {
  readonly label: string;
  readonly components: readonly Component[];
  /** Seconds since 1970; -1: not said. */
  readonly created: number;
  readonly expires: number;
  readonly keyId: string;
  readonly algorithm: string;
  readonly nonce: string;
  readonly tag: string;
  /** What the base ends with: the value as it came. */
  readonly text: string;
}

const labelsMax = 4;
const componentsMax = 64;

/** A dictionary of inner lists (RFC 8941), as far as signatures use it. Null where it is none, or has what is not understood here. */
export function readSignatureInputs(value: string): readonly SignatureInput[] | null {
  const reader = new FieldReader(value);
  const inputs: SignatureInput[] = [];
  for (;;) {
    const label = reader.key();
    if (label === null || !reader.take('=') || inputs.length >= labelsMax || inputs.some((one) => one.label === label)) return null;
    const input = readInput(reader, label);
    if (input === null) return null;
    inputs.push(input);
    reader.spaces();
    if (reader.atEnd) return inputs;
    if (!reader.take(',')) return null;
    reader.spaces();
  }
}

function readInput(reader: FieldReader, label: string): SignatureInput | null {
  const start = reader.at;
  const components = readComponents(reader);
  const parameters = components === null ? null : readParameters(reader);
  if (components === null || parameters === null) return null;
  const number = (name: string): number => {
    const found = parameters.get(name);
    return typeof found === 'number' ? found : -1;
  };
  const text = (name: string): string => {
    const found = parameters.get(name);
    return typeof found === 'string' ? found : '';
  };
  return { label, components, created: number('created'), expires: number('expires'), keyId: text('keyid'), algorithm: text('alg'), nonce: text('nonce'), tag: text('tag'), text: reader.since(start) };
}

function readComponents(reader: FieldReader): readonly Component[] | null {
  if (!reader.take('(')) return null;
  const components: Component[] = [];
  for (;;) {
    reader.spaces();
    if (reader.take(')')) return components;
    const start = reader.at;
    const name = reader.text();
    if (name === null || name !== name.toLowerCase() || components.length >= componentsMax) return null;
    const parameters = readParameters(reader);
    if (parameters === null || parameters.size > 1) return null;
    // `sf`, `bs`, `tr` and `req` change what is signed, and are not understood here.
    const argument = name === '@query-param' ? parameters.get('name') : parameters.get('key');
    if (parameters.size === 1 && typeof argument !== 'string') return null;
    const text = reader.since(start);
    if (components.some((one) => one.text === text)) return null;
    components.push({ name, argument: typeof argument === 'string' ? argument : '', text });
  }
}

function readParameters(reader: FieldReader): ReadonlyMap<string, string | number | true> | null {
  const parameters = new Map<string, string | number | true>();
  while (reader.take(';')) {
    reader.spaces();
    const name = reader.key();
    if (name === null || parameters.has(name)) return null;
    const value = reader.take('=') ? (reader.text() ?? reader.integer()) : true;
    if (value === null) return null;
    parameters.set(name, value);
  }
  return parameters;
}

/** The byte sequence of one member of a dictionary (`sig1=:…:`); null where there is none, or more than one. */
export function readByteMember(value: string, label: string): Buffer | null {
  const reader = new FieldReader(value);
  let found: Buffer | null = null;
  for (;;) {
    const key = reader.key();
    if (key === null || !reader.take('=')) return null;
    const bytes = reader.bytes();
    if (bytes === null) return null;
    if (key === label) {
      if (found !== null) return null;
      found = bytes;
    }
    reader.spaces();
    if (reader.atEnd) return found;
    if (!reader.take(',')) return null;
    reader.spaces();
  }
}

/** Reads a structured field (RFC 8941) from left to right. */
class FieldReader {
  readonly #value: string;
  at = 0;

  constructor(value: string) {
    this.#value = value;
  }

  get atEnd(): boolean {
    return this.at >= this.#value.length;
  }

  since(start: number): string {
    return this.#value.slice(start, this.at);
  }

  take(character: string): boolean {
    if (this.#value[this.at] !== character) return false;
    this.at++;
    return true;
  }

  spaces(): void {
    while (this.#value[this.at] === ' ' || this.#value[this.at] === '\t') this.at++;
  }

  key(): string | null {
    return this.#match(/[a-z*][a-z0-9_.*-]{0,63}/y);
  }

  text(): string | null {
    const quoted = this.#match(/"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){0,2048}"/y);
    return quoted === null ? null : quoted.slice(1, -1).replaceAll(/\\(["\\])/g, '$1');
  }

  integer(): number | null {
    const digits = this.#match(/\d{1,15}/y);
    return digits === null ? null : Number(digits);
  }

  bytes(): Buffer | null {
    const encoded = this.#match(/:[A-Za-z0-9+/]{0,2048}={0,2}:/y);
    if (encoded === null) return null;
    const bytes = Buffer.from(encoded.slice(1, -1), 'base64');
    return bytes.toString('base64').replace(/=+$/, '') === encoded.slice(1, -1).replace(/=+$/, '') ? bytes : null;
  }

  #match(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.#value)?.[0];
    if (found === undefined) return null;
    this.at += found.length;
    return found;
  }
}
