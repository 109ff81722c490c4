import type { Json, JsonObject } from '@remora/core/canonical-json';
import { parsePointer } from '@remora/core/pointer';
import { runSteps } from '@remora/core/steps';
import type { Steps } from '@remora/core/steps';
import type { Violation } from '@remora/core/violation';
import { documentLimits } from './document-limits.ts';
import { readJson } from './json-reader.ts';
import { readYaml, yamlLines } from './yaml-reader.ts';

/** One file, request body or standard input. */
export interface InputFile {
  /** What people know it by: `mesh/edge.yaml`, `-`, `request`. */
  readonly name: string;
  readonly bytes: Uint8Array | string;
}

/** A document as it was written: a map, nothing else is known of it yet. */
export interface LoadedDocument {
  readonly value: JsonObject;
  /** `mesh/edge.yaml:17`. Like `sourceOf`, for messages only: where it is not known yet, its text is read again, once. */
  readonly source: string;
  /** File and line of the nearest thing that exists at a pointer. */
  sourceOf(pointer: string): string;
}

export interface LoadResult {
  readonly documents: readonly LoadedDocument[];
  readonly violations: readonly Violation[];
}

/**
 * Reads YAML 1.2 and JSON: streams of documents separated by `---`, and lists of documents. Size, depth, aliases and number are
 * bounded (`document-limits.ts`). What cannot be read is a violation with its line; the rest is loaded all the same.
 */
export function loadDocuments(files: readonly InputFile[]): LoadResult {
  return runSteps(loadDocumentsInSteps(files));
}

/** The same, to be interrupted between documents of a stream. */
export function* loadDocumentsInSteps(files: readonly InputFile[]): Steps<LoadResult> {
  const result = new Loading();
  let bytes = 0;
  for (const file of files) {
    bytes += file.bytes.length;
    if (bytes > documentLimits.inputBytes) {
      result.fail({ pointer: '', code: 'too-large', message: `the input is larger than ${documentLimits.inputBytes / 1024 ** 2} MiB`, source: file.name });
      break;
    }
    const text = decodeText(file, result);
    // Of tens of megabytes.
    yield;
    if (text !== null) yield* loadText(file.name, text, result);
  }
  return { documents: result.documents, violations: result.violations };
}

class Loading {
  readonly documents: LoadedDocument[] = [];
  readonly violations: Violation[] = [];

  get full(): boolean {
    return this.documents.length >= documentLimits.inputDocuments || this.violations.length >= documentLimits.violations;
  }

  fail(violation: Violation): void {
    if (this.violations.length < documentLimits.violations) this.violations.push(violation);
  }

  /** A document, a list of documents, or nothing. `line`: where it begins. */
  add(value: Json, piece: Piece, line: number): void {
    if (value === null) return;
    if (!Array.isArray(value)) return this.addOne(value, { piece, prefix: [], line });
    for (const [i, item] of (value as readonly Json[]).entries()) {
      this.addOne(item, { piece, prefix: [String(i)], line: i === 0 ? line : null });
      if (this.full) return;
    }
  }

  /** A document, and nothing else. */
  addOne(value: Json, place: Place): void {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) this.fail({ pointer: '', code: 'wrong-type', message: 'a document is a map', expected: 'a map with kind and name', source: sourceAt(place, []) });
    else if (this.documents.length >= documentLimits.inputDocuments) this.fail({ pointer: '', code: 'too-many', message: `more than ${documentLimits.inputDocuments} documents`, source: sourceAt(place, []) });
    else this.documents.push(loadedAt(value as JsonObject, place));
  }
}

/** Text between two document markers, or of one item of a list in JSON. */
class Piece {
  readonly file: string;
  readonly text: string;
  /** Line of its first character, from 1. */
  readonly firstLine: number;
  #lines: ((segments: readonly string[]) => number) | null = null;

  constructor(file: string, text: string, firstLine: number) {
    this.file = file;
    this.text = text;
    this.firstLine = firstLine;
  }

  lineOf(segments: readonly string[]): number {
    this.#lines ??= yamlLines(this.text);
    return this.firstLine + this.#lines(segments) - 1;
  }
}

/** Where a document stands. */
interface Place {
  readonly piece: Piece;
  readonly prefix: readonly string[];
  /** Null: to be looked up. */
  readonly line: number | null;
}

function sourceAt({ piece, prefix, line }: Place, segments: readonly string[]): string {
  return `${piece.file}:${segments.length === 0 && line !== null ? line : piece.lineOf([...prefix, ...segments])}`;
}

function loadedAt(value: JsonObject, place: Place): LoadedDocument {
  return {
    value,
    get source() {
      return sourceAt(place, []);
    },
    sourceOf: (pointer) => `${place.piece.file}:${place.piece.lineOf([...place.prefix, ...(parsePointer(pointer) ?? [])])}`,
  };
}

function decodeText(file: InputFile, result: Loading): string | null {
  if (typeof file.bytes === 'string') return file.bytes;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(file.bytes);
  } catch {
    result.fail({ pointer: '', code: 'invalid-utf8', message: 'is not UTF-8', expected: 'UTF-8 text', source: `${file.name}:${invalidLine(file.bytes)}` });
    return null;
  }
}

/** Line of the first byte that is not UTF-8. */
function invalidLine(bytes: Uint8Array): number {
  let line = 1;
  for (let at = 0; at < bytes.length; line++) {
    const newline = bytes.indexOf(0x0a, at);
    const end = newline < 0 ? bytes.length : newline + 1;
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(at, end));
    } catch {
      return line;
    }
    at = end;
  }
  return line;
}

function* loadText(file: string, text: string, result: Loading): Steps<void> {
  const hasDirectives = /^%/m.test(text);
  yield;
  for (const piece of hasDirectives ? [new Piece(file, text, 1)] : split(file, text)) {
    if (result.full) return;
    loadPiece(piece, result);
    yield;
  }
}

/**
 * At `---` lines, which end a document wherever they stand (YAML 1.2 section 9.1.2): reading piece by piece keeps the
 * cost of one document's errors and trees to that document. A stream with directives is left whole.
 */
function* split(file: string, text: string): Generator<Piece> {
  let start = 0;
  let firstLine = 1;
  for (const marker of text.matchAll(/^---(?=[ \t\r\n]|$)/gm)) {
    if (marker.index === 0) continue;
    const piece = text.slice(start, marker.index);
    yield new Piece(file, piece, firstLine);
    firstLine += countLines(piece);
    start = marker.index;
  }
  yield new Piece(file, text.slice(start), firstLine);
}

function countLines(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++;
  return count;
}

function loadPiece(piece: Piece, result: Loading): void {
  const body = piece.text.replace(/^\uFEFF?(?:---[ \t]*\r?\n)?/, '');
  const first = /[^\s]/.exec(body)?.[0];
  if (first === undefined) return;
  if (first === '{' || first === '[') {
    // Most of what programs send; and the YAML reader would take ten times as long.
    const json = readJson(body, first === '[' ? { depth: documentLimits.depth + 1, nodes: Number.POSITIVE_INFINITY } : documentLimits);
    const line = piece.firstLine + (body.length < piece.text.length && piece.text.startsWith('---') ? 1 : 0);
    if (json.ok && Array.isArray(json.value)) return loadItems(json.value as readonly Json[], new Piece(piece.file, body, line), result);
    if (json.ok) return result.add(json.value, piece, line + countLines(/^\s*/.exec(body)?.[0] ?? ''));
    if (json.code !== 'invalid-json' || piece.file.endsWith('.json') || body.length > documentLimits.documentBytes) {
      return result.fail({ pointer: '', code: json.code, message: json.message, source: `${piece.file}:${line + countLines(body.slice(0, json.offset))}` });
    }
  }
  if (piece.text.length > 4 * documentLimits.documentBytes && !/^%/m.test(piece.text)) {
    return result.fail({ pointer: '', code: 'too-large', message: `a document is larger than ${documentLimits.documentBytes / 1024} KiB`, source: `${piece.file}:${piece.firstLine}` });
  }
  for (const document of readYaml(piece.text, documentLimits)) {
    for (const { line, ...problem } of document.problems) result.fail({ ...problem, source: `${piece.file}:${piece.firstLine + line - 1}` });
    if (document.value !== null) result.add(document.value, piece, piece.firstLine + document.line - 1);
  }
}

/** Each with a text of its own: looking for a line in one of a hundred thousand must not mean reading all of them. */
function loadItems(values: readonly Json[], list: Piece, result: Loading): void {
  const items = jsonItems(list.text);
  let line = list.firstLine;
  let counted = 0;
  for (const value of values) {
    const item = items.next().value;
    if (!item || result.full) return;
    line += countLines(list.text.slice(counted, item.start));
    counted = item.start;
    result.addOne(value, { piece: new Piece(list.file, list.text.slice(item.start, item.end), line), prefix: [], line });
  }
}

const quote = 0x22;
const backslash = 0x5c;

/** Where the items of a list begin and end, in a text that has been read as JSON. */
function* jsonItems(text: string): Generator<{ readonly start: number; readonly end: number }, undefined> {
  let depth = 0;
  let start = -1;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      if (start < 0) start = at;
      at = stringEnd(text, at);
    } else if (code === 0x5b || code === 0x7b) {
      depth++;
      if (depth === 2 && start < 0) start = at;
    } else if (code === 0x5d || code === 0x7d || code === 0x2c) {
      if (code !== 0x2c) depth--;
      const ends = code === 0x2c ? depth === 1 : depth === 0;
      if (ends && start >= 0) {
        yield { start, end: at };
        start = -1;
      }
    } else if (depth === 1 && start < 0 && code > 0x20) {
      start = at;
    }
  }
  return undefined;
}

function stringEnd(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text.charCodeAt(at) !== quote) at += text.charCodeAt(at) === backslash ? 2 : 1;
  return at;
}
