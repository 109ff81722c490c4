import type { Violation } from '@remora/core/violation';
import { loadDocuments } from '@remora/model/load-documents';
import type { LoadedDocument } from '@remora/model/load-documents';
import { ApiProblem } from './api-client.ts';
import type { ApiQuestion } from './api-client.ts';
import type { DocumentFile } from './document-files.ts';

/** The documents of the files of one command: as a request body, and as places that violations point at. */
export interface DocumentInput {
  readonly documents: readonly LoadedDocument[];
  /** What could not be read at all. */
  readonly violations: readonly Violation[];
  readonly body: Pick<ApiQuestion, 'body' | 'contentType'>;
  /** File and line at each violation, where the files tell. */
  withSources(violations: readonly Violation[]): Violation[];
  /** The same refusal with file and line at its violations, and with what could not be read before them. */
  withSourcesIn(refusal: ApiProblem): ApiProblem;
}

export function loadInput(files: readonly DocumentFile[]): DocumentInput {
  const { documents, violations } = loadDocuments(files);
  const byKey = new Map<string, LoadedDocument>();
  for (const document of documents) {
    const { kind, name } = document.value;
    const key = `${typeof kind === 'string' ? kind : ''}/${typeof name === 'string' ? name : ''}`;
    if (!byKey.has(key)) byKey.set(key, document);
  }
  const withSources = (found: readonly Violation[]): Violation[] => found.map((violation) => withSource(violation, documents, byKey));
  return {
    documents,
    violations,
    body: { body: streamOf(documents), contentType: 'application/yaml' },
    withSources,
    withSourcesIn(refusal) {
      const found = refusal.problem['violations'];
      if (!Array.isArray(found)) {
        // What the rest would do is of no interest before all of it can be read.
        return violations.length === 0 || refusal.status >= 500 ? refusal : new ApiProblem(422, { code: 'documents-refused', title: 'The documents cannot be read', status: 422, violations });
      }
      // Where nothing could be read, nothing was sent: that it is missing there is no news.
      const news = (found as Violation[]).filter(({ code }) => violations.length === 0 || code !== 'no-document');
      return new ApiProblem(refusal.status, { ...refusal.problem, violations: [...violations, ...withSources(news)] });
    },
  };
}

/**
 * A document per line, two lines each: JSON is read ten times faster than YAML, and the line tells which document is
 * meant where it has no name.
 */
function streamOf(documents: readonly LoadedDocument[]): Uint8Array {
  return Buffer.from(documents.map(({ value }) => `---\n${JSON.stringify(value)}\n`).join(''));
}

function withSource(violation: Violation, documents: readonly LoadedDocument[], byKey: ReadonlyMap<string, LoadedDocument>): Violation {
  const line = inRequest.exec(violation.source ?? '')?.[1];
  if (violation.source !== undefined && line === undefined) return violation;
  const document = line === undefined ? byKey.get(violation.document ?? '') : atLine(line, documents);
  const message = violation.message.replaceAll(inRequestText, (place, number: string) => atLine(number, documents)?.source ?? place);
  return { ...violation, message, ...(document === undefined ? {} : { source: document.sourceOf(violation.pointer) }) };
}

/** How the control plane names places in what it was sent. */
const inRequest = /^request:(\d+)$/;
const inRequestText = /\brequest:(\d+)\b/g;

/** Line 6 of the request is in the third document. */
function atLine(line: string, documents: readonly LoadedDocument[]): LoadedDocument | undefined {
  return documents[Math.floor((Number(line) - 1) / 2)];
}
