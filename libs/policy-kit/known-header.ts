import type { HeaderId } from '@remora/http/head';
import { headerNamesMax, internHeaderName } from '@remora/http/header-ids';
import { WireError } from './runtime-kind.ts';

/** Id of a header that settings name; refuses the snapshot (WireError) where the table of names is full. */
export function knownHeader(name: string, pointer: string): HeaderId {
  const id = internHeaderName(name);
  if (id === 0) throw new WireError(pointer, 'too-many', `more than ${headerNamesMax} header names are in use`);
  return id;
}
