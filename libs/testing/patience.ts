import { vi } from 'vitest';

const { waitFor, waitUntil } = vi;
/** `vi.waitFor` gives up after a second, which a busy machine may take for anything. */
const patience = { timeout: 30_000, interval: 10 };

vi.waitFor = (callback, options) => waitFor(callback, options ?? patience);
vi.waitUntil = (callback, options) => waitUntil(callback, options ?? patience);
