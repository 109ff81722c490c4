import type { RevisionAnswer } from './api-shapes.ts';

/** A line of the history: one revision, or all those of one run of a canary, at the place of its newest. */
export interface HistoryLine {
  readonly newest: RevisionAnswer;
  /** The oldest of them that was read; `newest` itself for everything that is no canary's. */
  readonly oldest: RevisionAnswer;
  readonly count: number;
}

/** Newest first, as they come. What others wrote between the steps of a canary keeps its place. */
export function foldRevisions(revisions: readonly RevisionAnswer[]): readonly HistoryLine[] {
  const lines: { newest: RevisionAnswer; oldest: RevisionAnswer; count: number }[] = [];
  const open = new Map<string, (typeof lines)[number]>();
  for (const revision of revisions) {
    const line = open.get(revision.author);
    if (line === undefined) {
      const made = { newest: revision, oldest: revision, count: 1 };
      lines.push(made);
      if (isCanary(revision)) open.set(revision.author, made);
    } else {
      line.oldest = revision;
      line.count += 1;
    }
    // What is older is of another run.
    if (isCanary(revision) && revision.message.startsWith('step 1 of ')) open.delete(revision.author);
  }
  return lines;
}

function isCanary({ author }: RevisionAnswer): boolean {
  return author.startsWith('canary/');
}
