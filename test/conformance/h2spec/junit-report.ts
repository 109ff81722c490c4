import { readFileSync } from 'node:fs';

export interface JunitCase {
  /** Section and title, such as `http2/5.1.2: Sends …`. */
  readonly name: string;
  /** Empty where it passed. */
  readonly failure: string;
  readonly skipped: boolean;
}

/** Reads the JUnit report of h2spec, which is XML of a fixed shape: one `testcase` element for each case. */
export function readJunitReport(file: string): readonly JunitCase[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/<testcase package="([^"]*)" classname="([^"]*)"[^>]*>([\s\S]*?)<\/testcase>/g)].map(([, section = '', title = '', inner = '']) => ({
    name: `${section}: ${unescape(title)}`,
    failure: /<(failure|error)/.test(inner) ? unescape(inner.replaceAll(/<[^>]*>/g, ' ').replaceAll(/\s+/g, ' ').trim()) : '',
    skipped: inner.includes('<skipped'),
  }));
}

function unescape(text: string): string {
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&#34;', '"').replaceAll('&#39;', "'").replaceAll('&quot;', '"').replaceAll('&amp;', '&');
}
