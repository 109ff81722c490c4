import type { Random } from '@remora/core/random';

/**
 * When a certificate is to be renewed: at half its life, or up to a tenth of its life before, so that a fleet that started at
 * once does not renew at once. For 72 h that is between 28.8 h and 36 h: 36 h always remain.
 */
export function renewalTimeMs(validity: { readonly fromMs: number; readonly toMs: number }, random: Random): number {
  const lifeMs = validity.toMs - validity.fromMs;
  return Math.round(validity.fromMs + lifeMs * (0.4 + 0.1 * random.next()));
}
