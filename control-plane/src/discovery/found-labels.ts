import { documentLimits } from '@remora/model/document-limits';

const key = /^(?:[A-Za-z0-9.-]{1,253}\/)?[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9_])?$/;
const value = /^(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9_])?)?$/;

/** Labels from what a source has of an instance; later ones win. What is no label in our documents either is left out: `problem` says so in a sentence, '' otherwise. */
export function labelsOf(pairs: readonly (readonly [string, string])[]): { readonly labels: Readonly<Record<string, string>>; readonly problem: string } {
  const labels: Record<string, string> = Object.create(null);
  const wrong: string[] = [];
  for (const [name, text] of pairs) {
    if (!key.test(name) || !value.test(text)) wrong.push(name.slice(0, 60));
    else if (Object.keys(labels).length >= documentLimits.labels && !(name in labels)) return { labels, problem: `has more than ${documentLimits.labels} labels; the first are used` };
    else labels[name] = text;
  }
  return { labels, problem: wrong.length === 0 ? '' : `${wrong.slice(0, 5).join(', ')} cannot be labels` };
}
