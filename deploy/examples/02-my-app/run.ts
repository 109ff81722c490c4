import path from 'node:path';
import { example } from '../playground.ts';

await example('One sidecar before localhost:3000, from ten lines of YAML that are read again when they change', async (play) => {
  const app = await play.app('app');
  const folder = await play.copy(import.meta.dirname, {});
  const port = await play.run(folder, ['--app', `localhost:${app}`]);
  const answer = await play.until('the app answers', () => play.get(port, '/hello'), ({ status }) => status === 200);
  play.check('the app answers through the sidecar', answer.text.includes('"path":"/hello"'), answer.text);
  play.say('\nthe limit is edited in its file: 100 → 1');
  await play.replace(path.join(folder, 'app.yaml'), 'requests: 100', 'requests: 1');
  // Looked at for long enough, the old limit says 429 too.
  const refused = await play.until('the new limit is enforced', () => play.get(port, '/hello'), ({ status, headers }) => status === 429 && String(headers['ratelimit-policy']).includes('q=1;'));
  play.check('429 with its reason', refused.text.includes('rate-limited'), refused.text);
  play.say('\na mistake in the file changes nothing');
  await play.replace(path.join(folder, 'app.yaml'), 'requests: 1', 'request: 1');
  const still = await play.get(port, '/hello');
  play.check('what was enforced still is', still.status === 429, still);
  await play.remora(['validate', '-f', folder], 1);
});
