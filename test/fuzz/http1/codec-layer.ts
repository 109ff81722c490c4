import { Choice } from '../choice.ts';
import { InProcessLayer } from '../in-process-layer.ts';
import { caseName, type CorpusEntry, type FuzzFinding } from '../layer.ts';
import { chooseCuts } from '../segmentation.ts';
import { shrink } from '../shrink.ts';
import { runCodecCase, type CodecCase } from './codec-case.ts';
import { generateConversation } from './conversation.ts';
import { generateResponse } from './response-generator.ts';

/** The readers and writers of `libs/http` alone. */
export class Http1CodecLayer extends InProcessLayer {
  readonly name = 'http1-codec';
  protected readonly noun = 'cases';
  protected readonly casesPerRound = 200;

  protected again(entry: CorpusEntry): readonly FuzzFinding[] {
    const { problem, forwarded } = runCodecCase(caseOf(entry));
    if (forwarded.length > 0) this.hearing.add({ bytes: forwarded, clean: true }, entry);
    return problem === '' ? [] : [{ entry, problem }];
  }

  protected one(seed: number): readonly FuzzFinding[] {
    const one = generateCase(seed);
    const { problem, forwarded } = runCodecCase(one);
    if (problem !== '') {
      const small = shrink(one.bytes, (bytes) => runCodecCase(recut(one, bytes)).problem !== '');
      const reduced = recut(one, small);
      return [{ entry: entryOf(reduced, seed), problem: runCodecCase(reduced).problem }];
    }
    if (forwarded.length > 0 && seed % judgedShare === 0) this.hearing.add({ bytes: forwarded, clean: true }, entryOf(one, seed));
    return [];
  }
}

/** Witnesses cost more than our readers: one case in so many goes before them. */
const judgedShare = 8;

function generateCase(seed: number): CodecCase {
  const choice = new Choice(seed ^ 0x5bd1_e995);
  const kind = choice.once(3) ? 'response' : 'request';
  const text = kind === 'request' ? generateConversation(seed).text : generateResponse(choice, choice.hex(16)).text;
  const bytes = Buffer.from(text, 'latin1');
  const limits = choice.once(6) ? { bytesMax: choice.between(16, 400), fieldsMax: choice.between(1, 12) } : { bytesMax: 65_536, fieldsMax: 100 };
  return { kind, bytes, limits, cuts: [sorted(chooseCuts(choice, bytes)), sorted(chooseCuts(choice, bytes))] };
}

/** The same for other bytes: every cut in two, and byte by byte. */
function recut(one: CodecCase, bytes: Uint8Array): CodecCase {
  const places = Array.from({ length: Math.max(0, bytes.length - 1) }, (_, i) => i + 1);
  return { ...one, bytes, cuts: bytes.length > 400 ? one.cuts : [...places.map((at) => [at]), places] };
}

function sorted(places: readonly number[]): number[] {
  return [...new Set(places)].sort((a, b) => a - b);
}

function entryOf({ kind, bytes, cuts, limits }: CodecCase, seed: number): CorpusEntry {
  return { layer: 'http1-codec', name: caseName(bytes), seed, bytes: Buffer.from(bytes).toString('latin1'), setting: { kind, limits, cuts: cuts.length > 4 ? [] : cuts } };
}

function caseOf(entry: CorpusEntry): CodecCase {
  const setting = entry.setting as Pick<CodecCase, 'kind' | 'limits' | 'cuts'>;
  const one = { ...setting, bytes: Buffer.from(entry.bytes, 'latin1') };
  return setting.cuts.length === 0 ? recut(one, one.bytes) : one;
}
