import { questionsMax } from '@remora/policy-kit/questions';
import { expect, test } from 'vitest';
import { ThreadQuestions } from './thread-questions.ts';

test('each question is answered once, and no more than the bound are under way', () => {
  const sent: number[] = [];
  const answers: string[] = [];
  const questions = new ThreadQuestions((id, topic, body) => void sent.push(id + topic.length + body.length));
  for (let i = 0; i < questionsMax; i++) expect(questions.ask('a', new Uint8Array(1), (answer) => answers.push(`${i}:${answer?.length ?? -1}`))).toBe(true);
  expect(questions.ask('a', new Uint8Array(1), () => answers.push('never'))).toBe(false);
  questions.answer(3, new Uint8Array(2));
  questions.answer(3, new Uint8Array(2));
  questions.answer(5, null);
  questions.answer(99_999, null);
  expect(answers).toEqual(['3:2', '5:-1']);
  expect([sent.length, questions.underway]).toEqual([questionsMax, questionsMax - 2]);
  expect(questions.ask('a', new Uint8Array(1), () => {})).toBe(true);
});
