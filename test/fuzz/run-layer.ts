import { readCorpus } from './corpus.ts';
import { caseName, type FuzzFinding, type FuzzLayer } from './layer.ts';

export interface LayerOptions {
  readonly seed: number;
  readonly seconds: number;
  /** Stops early where so much was found. */
  readonly findingsMax: number;
}

export interface LayerResult {
  readonly findings: readonly FuzzFinding[];
  readonly summary: string;
  /** Witnesses that are not installed here. */
  readonly missing: readonly string[];
}

/** What is in the corpus first, then rounds until the time is over. Never rejects: a layer that cannot run is a finding. */
export async function runLayer(layer: FuzzLayer, { seed, seconds, findingsMax }: LayerOptions): Promise<LayerResult> {
  const findings = new Map<string, FuzzFinding>();
  const keep = (found: readonly FuzzFinding[]): void => found.forEach((finding) => findings.set(finding.entry.name, finding));
  let missing: readonly string[] = [];
  let round = 0;
  try {
    missing = await layer.begin();
  } catch (error) {
    return { findings: [brokenRun(layer, seed, round, error)], summary: 'not begun', missing };
  }
  try {
    for (const entry of readCorpus(layer.name)) keep(await layer.replay(entry));
    for (const end = performance.now() + seconds * 1000; performance.now() < end && findings.size < findingsMax; round++) keep(await layer.round((seed + round * roundStep) >>> 0));
  } catch (error) {
    keep([brokenRun(layer, seed, round, error)]);
  }
  try {
    const last = await layer.end();
    keep(last.findings);
    return { findings: [...findings.values()], summary: last.summary, missing };
  } catch (error) {
    keep([brokenRun(layer, seed, round, error)]);
    return { findings: [...findings.values()], summary: `${layer.cases} cases`, missing };
  }
}

/** Seeds of the cases of a round follow each other; rounds are further apart than they are long. */
const roundStep = 1_000_003;

function brokenRun(layer: FuzzLayer, seed: number, round: number, error: unknown): FuzzFinding {
  const problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { entry: { layer: layer.name, name: caseName(problem), seed: (seed + round * roundStep) >>> 0, bytes: '', setting: {} }, problem: `the layer did not run on: ${problem}` };
}
