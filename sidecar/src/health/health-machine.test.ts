import { hostHealth } from '@remora/policy-kit/host-states';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HealthMachine } from './health-machine.ts';

const names = { [hostHealth.unchecked]: '?', [hostHealth.healthy]: 'h', [hostHealth.unhealthy]: 'u' } as const;

describe('health after each answer', () => {
  // Answers: + good, - bad. Thresholds: 3 bad ones make it unhealthy, 2 good ones healthy again.
  test.each([
    ['+', 'h'], ['-', '?'], ['---', '??u'], ['--+', '??h'], ['+--', 'hhh'], ['+---', 'hhhu'], ['---+', '??uu'], ['---++', '??uuh'], ['---+-++', '??uuuuh'], ['+-+-+-', 'hhhhhh'],
  ])('%s makes it %s', (answers, expected) => {
    const machine = new HealthMachine();
    const seen = answers.split('').map((answer) => {
      machine.answer(answer === '+', { unhealthyThreshold: 3, healthyThreshold: 2 });
      return names[machine.health];
    });
    expect(seen.join('')).toBe(expected);
  });

  test('it only changes after as many answers in a row as the threshold says, but for the first good one', () => {
    fc.assert(fc.property(fc.array(fc.boolean(), { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 }), (answers, unhealthyThreshold, healthyThreshold) => {
      const machine = new HealthMachine();
      answers.forEach((good, i) => {
        const before = machine.health;
        const changed = machine.answer(good, { unhealthyThreshold, healthyThreshold });
        expect(changed).toBe(machine.health !== before);
        if (!changed) return;
        const needed = before === hostHealth.unchecked && good ? 1 : good ? healthyThreshold : unhealthyThreshold;
        expect(answers.slice(i + 1 - needed, i + 1)).toEqual(Array.from({ length: needed }, () => good));
      });
    }));
  });
});
