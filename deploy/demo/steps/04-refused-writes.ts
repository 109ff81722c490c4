import type { Step, World } from '../world.ts';

export const refusedWrites: Step = {
  title: 'writes that break a bound, misspell a field or contradict each other are refused, with everything that is wrong',
  timeoutMs: 60_000,
  async run(world) {
    const before = await newestRevision(world);
    const bound = await world.remora(['apply', '-f', 'documents/refused-bound.yaml'], { exitCode: 1, process: true });
    world.check('a write beyond a bound names the field, the bound and whose it is', contains(bound.err, ['/retry/retries', 'baseline', '3', 'refused-bound.yaml:4']), bound.err);
    const misspelt = await world.remora(['apply', '-f', 'documents/refused-misspelt.yaml'], { exitCode: 1 });
    world.check('all three mistakes of one document are named at once, with what was expected', contains(misspelt.err, ['/rateLimit/limits/perClient/request', 'did you mean `requests`', '/per', 'duration', '/key/0', 'refused-misspelt.yaml:6']), misspelt.err);
    const conflict = await world.remora(['apply', '-f', 'documents/refused-conflict.yaml'], { exitCode: 1 });
    world.check('two policies of equal strength that set one field are refused, naming both', contains(conflict.err, ['web-is-slow', 'web-is-quick', '/timeout/request']), conflict.err);
    world.check('nothing was written', (await newestRevision(world)) === before, await newestRevision(world));
    await world.remora(['validate', '-f', 'documents/refused-misspelt.yaml', '-f', 'documents/mesh.yaml'], { exitCode: 1, process: true });
  },
};

async function newestRevision(world: World): Promise<number> {
  const { items } = await world.api<{ readonly items: readonly { readonly revision: number }[] }>('/v1/revisions?limit=1');
  return items[0]?.revision ?? 0;
}

function contains(text: string, parts: readonly string[]): boolean {
  return parts.every((part) => text.includes(part));
}
