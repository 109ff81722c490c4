import { expect, test } from 'vitest';
import { readTapAsk } from './tap-question.ts';

test('what the control plane asks for is read; unknown filters are none', () => {
  expect(readTapAsk('{"id":"a","filter":{"side":"inbound","method":"GET","path":"/v1","status":"5xx","colour":"red"}}')).toEqual({ id: 'a', filter: { side: 'inbound', method: 'GET', path: '/v1', status: '5xx' } });
  expect(readTapAsk('{"id":"a"}')).toEqual({ id: 'a', filter: {} });
});

test.each([
  ['not JSON', '{', 'JSON'],
  ['no object', '[]', 'tap: expected an id of 1 to 64 characters'],
  ['no id', '{}', 'tap: expected an id of 1 to 64 characters'],
  ['a long id', `{"id":"${'x'.repeat(65)}"}`, 'tap: expected an id of 1 to 64 characters'],
  ['a side that there is not', '{"id":"a","filter":{"side":"up"}}', 'tap: side is not as expected'],
  ['a path that is none', '{"id":"a","filter":{"path":"v1"}}', 'tap: path is not as expected'],
  ['a status that is none', '{"id":"a","filter":{"status":"6xx"}}', 'tap: status is not as expected'],
  ['a number', '{"id":"a","filter":{"status":503}}', 'tap: status is not as expected'],
])('%s is refused', (_, text, message) => {
  expect(() => readTapAsk(text)).toThrow(message);
});
