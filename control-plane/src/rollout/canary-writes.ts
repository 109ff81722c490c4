import type { JsonObject } from '@remora/core/canonical-json';
import type { Model } from '@remora/model/model';
import { StoreError } from '../store/store-error.ts';
import type { Intent } from '../write/intended-changes.ts';
import { WriteError } from '../write/write-error.ts';
import type { WritePath } from '../write/write-path.ts';
import { canaryPlan } from './canary-plan.ts';
import { labelsText, routeAt, routeBefore } from './canary-routes.ts';
import type { CanaryRun } from './canary-run.ts';

/**
 * What a canary writes into its Routes: revisions by `canary/NAME`, by the same way as everybody's. Each is the state that it wants, so writing it again is no
 * revision. Answers null where it holds, or why it was refused.
 */
export class CanaryWrites {
  readonly #deps: { readonly writePath: Pick<WritePath, 'write'>; readonly model: Pick<Model, 'validateDocument'>; readonly alarm: (error: unknown) => void };

  constructor(deps: { readonly writePath: Pick<WritePath, 'write'>; readonly model: Pick<Model, 'validateDocument'>; readonly alarm: (error: unknown) => void }) {
    this.#deps = deps;
  }

  enter(run: CanaryRun): Promise<string | null> {
    const { weights } = canaryPlan(run.document);
    const weight = weights[run.step] ?? 100;
    const why = run.step === 0 ? '' : `; ${run.decisions.at(-1)?.sentence ?? ''}`;
    return this.#put(run, run.routes.map((route) => routeAt(run.document, route, weight)), `step ${run.step + 1} of ${weights.length + 1}: ${weight} % to ${labelsText(run.document.candidate.labels)}${why}`);
  }

  complete(run: CanaryRun): Promise<string | null> {
    const steps = canaryPlan(run.document).weights.length + 1;
    return this.#put(run, run.routes.map((route) => routeAt(run.document, route, 100)), `completed, step ${steps} of ${steps}: everything to ${labelsText(run.document.candidate.labels)}; ${run.verdict?.sentence ?? ''}`);
  }

  /** As the Routes were; one that the canary made sends everything to stable: without it, the candidate's instances would get their part. */
  revert(run: CanaryRun): Promise<string | null> {
    return this.#put(run, run.routes.map((route) => routeBefore(run.document, route)), `${run.verdict?.end ?? 'aborted'}, as before: ${run.verdict?.sentence ?? ''}`);
  }

  async #put(run: CanaryRun, routes: readonly JsonObject[], message: string): Promise<string | null> {
    const documents = [];
    for (const route of routes) {
      const result = this.#deps.model.validateDocument(route);
      if (!result.ok) return result.violations.map(({ pointer, message: text }) => `${pointer} ${text}`).join('; ');
      documents.push(result.valid);
    }
    return this.#try(run, { kind: 'apply', documents }, message);
  }

  async #try({ name }: CanaryRun, intent: Intent, message: string): Promise<string | null> {
    const author = `canary/${name}`;
    try {
      await this.#deps.writePath.write({ intent, author, claimant: author, by: { actor: { kind: 'canary', name } }, message: message.slice(0, 1_000) });
      return null;
    } catch (error) {
      if (error instanceof WriteError) return textOf(error);
      this.#deps.alarm(error);
      if (error instanceof StoreError) return error.message;
      throw error;
    }
  }
}

function textOf(error: WriteError): string {
  const [first] = error.violations;
  return first === undefined ? error.message : `${error.message}: ${first.document ?? ''}${first.pointer} ${first.message}`;
}
