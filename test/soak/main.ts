/**
 * `npm run soak -- --minutes 20`: churn on real processes, and what they hold over time. Ends with 0 where nothing grows.
 *
 *     node test/soak/main.ts --minutes 20 [--edits-per-second 2] [--pause 20] [--bundled] [--json]
 */
import { parseArgs } from 'node:util';
import { soak } from './soak.ts';
import { trendText } from './verdict.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' }, 'edits-per-second': { type: 'string', default: '2' }, pause: { type: 'string', default: '20' },
    bundled: { type: 'boolean', default: false }, json: { type: 'boolean', default: false },
  },
});
const [minutes, editsPerSecond, pauseMs] = [values.minutes, values['edits-per-second'], values.pause].map(Number) as [number, number, number];
if (!(minutes > 0 && editsPerSecond > 0 && pauseMs >= 0)) throw new Error('--minutes and --edits-per-second are numbers above 0, --pause is a number of milliseconds');
const verdict = await soak({ minutes, editsPerSecond, pauseMs, bundled: values.bundled, say: (line) => process.stderr.write(`${line}\n`) });
if (values.json) process.stdout.write(`${JSON.stringify(verdict, null, 2)}\n`);
else {
  process.stdout.write(`${verdict.trends.map(trendText).join('\n')}\n`);
  process.stdout.write(`${verdict.edits} edits, ${verdict.answered} answered, ${verdict.failed} failed${verdict.failed > 0 ? ` (${Object.entries(verdict.reasons).map(([reason, count]) => `${reason} ${count}`).join(', ')})` : ''}, ${verdict.refused} refused, ${verdict.broken} broken off\n`);
  process.stdout.write(verdict.ok ? 'nothing grows\n' : 'NOT STEADY\n');
}
process.exitCode = verdict.ok ? 0 : 1;
