import { hostHealth, type HostHealth } from '@remora/policy-kit/host-states';

/** What decides whether a host is well. */
export interface HealthThresholds {
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
}

/**
 * Health of one host after each answer to a check. A host that nobody has asked yet is used; its first good answer makes it healthy, and only failures in a
 * row make it unhealthy, so that one lost packet takes nobody out. Pure.
 */
export class HealthMachine {
  health: HostHealth = hostHealth.unchecked;
  /** Answers in a row that were like the last one. */
  inARow = 0;
  #good = false;

  /** True: the health has changed. */
  answer(good: boolean, { unhealthyThreshold, healthyThreshold }: HealthThresholds): boolean {
    this.inARow = good === this.#good ? this.inARow + 1 : 1;
    this.#good = good;
    const before = this.health;
    if (!good && this.inARow >= unhealthyThreshold) this.health = hostHealth.unhealthy;
    else if (good && (before === hostHealth.unchecked || this.inARow >= healthyThreshold)) this.health = hostHealth.healthy;
    return this.health !== before;
  }
}
