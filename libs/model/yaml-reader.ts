import type { Json } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import type { Violation } from '@remora/core/violation';
import { LineCounter, isAlias, isMap, isScalar, isSeq, parseAllDocuments } from 'yaml';
import type { Document, Node, Pair, ParsedNode, YAMLError } from 'yaml';
import { unclosedPlace } from './unclosed-place.ts';

export interface YamlBounds {
  readonly depth: number;
  readonly nodes: number;
  readonly aliases: number;
}

export interface YamlDocument {
  /** null: the document is empty. */
  readonly value: Json | null;
  /** Line of its first content, from 1. */
  readonly line: number;
  readonly problems: readonly YamlProblem[];
}

export interface YamlProblem extends Violation {
  readonly line: number;
}

/** Reads a stream of YAML 1.2 documents (core schema). Never throws; what is wrong stands beside each document. */
export function readYaml(text: string, bounds: YamlBounds): YamlDocument[] {
  const lines = new LineCounter();
  const parsed = parse(text, lines);
  return parsed === null ? [tooDeep(bounds)] : parsed.map((document) => convert(document, { text, lines }, bounds));
}

/** Lines of what pointers name (the nearest that exists), from 1, in a text that holds one document. Reads the text once. */
export function yamlLines(text: string): (segments: readonly string[]) => number {
  const lines = new LineCounter();
  const document = parse(text, lines)?.find((one) => one.contents !== null);
  return (segments) => {
    let node: unknown = document?.contents;
    let offset = document?.contents?.range[0] ?? 0;
    for (const segment of segments) {
      const step = descend(node, segment);
      if (step === null) break;
      offset = step.offset ?? offset;
      node = step.node;
    }
    return lines.linePos(offset).line;
  };
}

function descend(node: unknown, segment: string): { readonly node: unknown; readonly offset: number | undefined } | null {
  if (isMap(node)) {
    const pair = node.items.find((item) => keyText(item.key) === segment);
    return pair === undefined ? null : { node: pair.value, offset: rangeStart(pair.key) };
  }
  if (!isSeq(node) || !/^\d{1,9}$/.test(segment)) return null;
  const item = node.items[Number(segment)];
  return item === undefined ? null : { node: item, offset: rangeStart(item) };
}

function parse(text: string, lineCounter: LineCounter): Document.Parsed[] | null {
  try {
    const documents = parseAllDocuments(text, {
      version: '1.2', schema: 'core', merge: false, uniqueKeys: true, strict: true, prettyErrors: false, logLevel: 'silent', stringKeys: false, lineCounter,
    });
    return 'empty' in documents ? [] : documents;
  } catch (error) {
    // The composer recurses over nested collections; beyond the stack there is nothing to read.
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function tooDeep(bounds: YamlBounds): YamlDocument {
  return { value: null, line: 1, problems: [{ pointer: '', code: 'too-deep', message: `is nested more than ${bounds.depth} levels deep`, line: 1 }] };
}

interface YamlSource {
  readonly text: string;
  readonly lines: LineCounter;
}

function convert(document: Document.Parsed, source: YamlSource, bounds: YamlBounds): YamlDocument {
  const { lines } = source;
  const contents = document.contents;
  const line = lines.linePos(contents?.range[0] ?? document.range[0]).line;
  const errors = [...document.errors, ...document.warnings].slice(0, 20).map((error, i, all) => unclosedProblem(document, source, error, sameBefore(all, i)) ?? syntaxProblem(error, lines));
  const deep = errors.find(({ code }) => code === 'too-deep');
  if (errors.length > 0) return { value: null, line, problems: deep === undefined ? errors : [deep] };
  const converter = new Converter(document, lines, bounds);
  const value = contents === null ? null : converter.convert(contents);
  return { value: converter.problems.length > 0 ? null : value, line, problems: converter.problems };
}

function sameBefore(errors: readonly YAMLError[], at: number): number {
  return errors.slice(0, at).filter(({ message, pos }) => message === errors[at]?.message && pos[0] === errors[at].pos[0]).length;
}

function unclosedProblem(document: Document.Parsed, { text, lines }: YamlSource, error: YAMLError, nth: number): YamlProblem | null {
  const place = unclosedPlace(document, text, error, nth);
  if (place === null) return null;
  const { line, col } = lines.linePos(place.offset);
  return { pointer: '', code: 'invalid-yaml', message: `column ${col}: the ${place.opener} here is not closed by ${place.closer}${place.outdented ? ' before a line that is indented too little' : ''}`, line };
}

function syntaxProblem(error: YAMLError, lines: LineCounter): YamlProblem {
  const { line, col } = lines.linePos(error.pos[0]);
  // The composer recurses over nested collections and reports the end of the stack as an error of the text.
  if (error.message.includes('call stack')) return { pointer: '', code: 'too-deep', message: 'is nested too deeply', line };
  const duplicate = error.code === 'DUPLICATE_KEY';
  // The library's own words repeat the tag, which may be a password that begins with an exclamation mark.
  const message = duplicate ? 'the same key stands twice in one map' : error.code === 'TAG_RESOLVE_FAILED' ? 'there is no such tag; a text that begins with ! needs quotes' : error.message.replace(/\s+/g, ' ').slice(0, 200);
  // The line is in the source of the violation: here it would count from the last document marker.
  return { pointer: '', code: duplicate ? 'duplicate-key' : 'invalid-yaml', message: `column ${col}: ${message}`, line };
}

class BoundReached extends Error {}

/** Nodes to values: prototype-free maps, aliases expanded within a bound. */
class Converter {
  readonly problems: YamlProblem[] = [];
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  readonly #bounds: YamlBounds;
  #nodes = 0;
  #aliases = 0;

  constructor(document: Document.Parsed, lines: LineCounter, bounds: YamlBounds) {
    this.#document = document;
    this.#lines = lines;
    this.#bounds = bounds;
  }

  convert(root: ParsedNode): Json | null {
    try {
      return this.#node(root, '', 0, []);
    } catch (error) {
      if (error instanceof BoundReached) return null;
      throw error;
    }
  }

  #node(node: unknown, pointer: string, depth: number, within: readonly Node[]): Json {
    if (depth > this.#bounds.depth) this.#stop(node, pointer, 'too-deep', `is nested more than ${this.#bounds.depth} levels deep`);
    if (++this.#nodes > this.#bounds.nodes) this.#stop(node, pointer, 'too-large', `has more than ${this.#bounds.nodes} values${this.#aliases > 0 ? ', its aliases expanded' : ''}`);
    if (isAlias(node)) return this.#alias(node, pointer, depth, within);
    if (isScalar(node)) return this.#scalar(node.value, node, pointer);
    if (isSeq(node)) return node.items.map((item, i) => this.#node(item, joinPointer(pointer, i), depth + 1, [...within, node]));
    if (isMap(node)) return this.#map(node.items, node, pointer, depth, within);
    return null;
  }

  #alias(node: { resolve(document: Document): Node | undefined }, pointer: string, depth: number, within: readonly Node[]): Json {
    if (++this.#aliases > this.#bounds.aliases) this.#stop(node, pointer, 'too-many', `uses more than ${this.#bounds.aliases} aliases`);
    const target = node.resolve(this.#document);
    if (target === undefined || within.includes(target)) {
      this.#problem(node, pointer, 'invalid-yaml', target === undefined ? 'an alias names no anchor before it' : 'an alias contains itself');
      return null;
    }
    return this.#node(target, pointer, depth, within);
  }

  #map(items: readonly Pair[], node: Node, pointer: string, depth: number, within: readonly Node[]): Json {
    const object: Record<string, Json> = Object.create(null);
    for (const pair of items) {
      const key = keyText(pair.key);
      if (key === null) {
        this.#problem(pair.key, pointer, 'invalid-yaml', 'a key is not a plain text');
        continue;
      }
      if (Object.hasOwn(object, key)) this.#problem(pair.key, joinPointer(pointer, key), 'duplicate-key', 'the same key stands twice in one map');
      object[key] = pair.value === null ? null : this.#node(pair.value, joinPointer(pointer, key), depth + 1, [...within, node]);
    }
    return object;
  }

  #scalar(value: unknown, node: unknown, pointer: string): Json {
    if (value === null || typeof value === 'boolean') return value;
    if (typeof value === 'string') return value;
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    this.#problem(node, pointer, 'invalid-value', 'is not a value that JSON has');
    return null;
  }

  #stop(node: unknown, pointer: string, code: string, message: string): never {
    this.#problem(node, pointer, code, message);
    throw new BoundReached(message);
  }

  #problem(node: unknown, pointer: string, code: string, message: string): void {
    if (this.problems.length < 50) this.problems.push({ pointer, code, message, line: this.#lines.linePos(rangeStart(node) ?? 0).line });
  }
}

/** Text of a key as written; null where it is no scalar. `503:` and `true:` are texts. */
function keyText(key: unknown): string | null {
  if (typeof key === 'string') return key;
  if (!isScalar(key)) return null;
  return typeof key.value === 'string' ? key.value : (key.source ?? String(key.value));
}

function rangeStart(node: unknown): number | undefined {
  return (node as { readonly range?: readonly number[] } | null)?.range?.[0];
}
